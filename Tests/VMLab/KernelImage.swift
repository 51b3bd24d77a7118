// SPDX-License-Identifier: GPL-2.0

import SystemPackage

/// A kernel's packages, unpacked: `boot/vmlinuz-RELEASE`, `boot/vmlinux-RELEASE`, which is the same
/// one not compressed, and `lib/modules/RELEASE`.
struct KernelImage {
    let packages: KernelPackages
    let folder: FilePath
    /// What modules for it are built with, where no package has that.
    var buildTree: FilePath?

    /// How make in a build root is told of this kernel.
    func makeArguments(with compiler: String) -> [String] {
        buildTree == nil
            ? ["-C", "/usr/src/linux-headers-\(packages.release)"]
            : ["-C", "/kernel", "CC=\(compiler)", "HOSTCC=\(compiler)"]
    }

    /// Finds the unpacked kernel or fetches and unpacks it; older ones of the series are removed.
    static func prepare(_ packages: KernelPackages, from archive: Archive) async throws
        -> KernelImage
    {
        let kernels = Layout.cache.appending("kernels")
        let prefix = "\(packages.series)_"
        let name = "\(prefix)\(packages.release)_\(packages.version)"
        let folder = kernels.appending(name)
        if Files.exists(folder) { return KernelImage(packages: packages, folder: folder) }

        let unfinished = kernels.appending("\(name).unfinished")
        for old in Files.names(in: kernels) where old.hasPrefix(prefix) {
            try await HostCommand.run(
                "rm", ["-rf", kernels.appending(old).string], purpose: "remove an old kernel")
        }
        try Files.makeDirectory(unfinished)
        try await Progress.during("fetching Linux \(packages.version)") {
            try await archive.download(packages.packages, to: unfinished)
            for file in Files.names(in: unfinished) where file.hasSuffix(".deb") {
                let package = unfinished.appending(file)
                try await HostCommand.run(
                    "dpkg", ["-x", package.string, unfinished.string], purpose: "unpack \(file)")
                try await HostCommand.run("rm", [package.string], purpose: "remove \(package)")
            }
            try await normalise(unfinished, release: packages.release)
            try await decompress(unfinished, release: packages.release)
            try Files.rename(unfinished, to: folder)
        }
        return KernelImage(packages: packages, folder: folder)
    }

    /// Newer packages put modules below usr, and some the image beside them.
    private static func normalise(_ folder: FilePath, release: String) async throws {
        let script = """
            cd "$1"
            if [ -d "usr/lib/modules/$2" ]; then
                mkdir -p lib
                mv usr/lib/modules lib/
            fi
            mkdir -p boot
            for image in "lib/modules/$2/vmlinuz" "usr/lib/linux/vmlinuz-$2"; do
                [ -e "boot/vmlinuz-$2" ] || [ ! -f "$image" ] || mv "$image" "boot/vmlinuz-$2"
            done
            [ -f "boot/vmlinuz-$2" ] || { find . -name '*vmlinu*'; echo "no kernel image"; exit 1; }
            rm -rf usr
            # Compressed modules would be unpacked by an emulated processor at every boot.
            find lib -name '*.ko.xz' -print0 | xargs -0 -r -P 2 -n 200 xz -d
            depmod -b . "$2"
            """
        try await HostCommand.run(
            "sh", ["-euc", script, "sh", folder.string, release],
            purpose: "make Linux \(release) bootable")
    }

    /// Unpacks what an emulated processor would unpack at every boot, in up to five seconds.
    ///
    /// Where in the image it is, and that the last four bytes of it are its size and not of what xz and
    /// zstd write: Documentation/arch/x86/boot.rst, `payload_offset`, and scripts/Makefile.lib. The
    /// image stays as it is where another compressor made it, and where QEMU would refuse the other one,
    /// which it enters as a PVH guest: one built without CONFIG_PVH, that is, without the ELF note
    /// XEN_ELFNOTE_PHYS32_ENTRY (include/xen/interface/elfnote.h: 18).
    static func decompress(_ folder: FilePath, release: String) async throws {
        let script = """
            cd "$1/boot"
            image=vmlinuz-$2
            number() { od -A n -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }
            start=$((($(number 0x1f1 1) + 1) * 512 + $(number 0x248 4)))
            bytes=$(number 0x24c 4)
            payload() {
                dd "if=$image" bs=64k iflag=skip_bytes,count_bytes "skip=$start" "count=$1" status=none
            }
            case $(payload 4 | od -A n -t x1) in
            " fd 37 7a 58") payload $((bytes - 4)) | xz -d ;;
            " 28 b5 2f fd") payload $((bytes - 4)) | zstd -d -q ;;
            " 1f 8b "*) payload "$bytes" | gzip -d ;;
            esac >"vmlinux-$2"
            note='\\x04\\x00\\x00\\x00[\\x04\\x08]\\x00\\x00\\x00\\x12\\x00\\x00\\x00Xen\\x00'
            LC_ALL=C grep -qaP "$note" "vmlinux-$2" || rm "vmlinux-$2"
            """
        try await HostCommand.run(
            "bash", ["-euo", "pipefail", "-c", script, "bash", folder.string, release],
            purpose: "unpack the image of Linux \(release)")
    }
}
