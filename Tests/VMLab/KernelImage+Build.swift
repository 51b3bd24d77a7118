// SPDX-License-Identifier: GPL-2.0

import Glibc
import SystemPackage

extension KernelImage {
    /// What the debug kernel has beyond the architecture's defaults.
    private static let config = Layout.repository.appending("Tests/VMLab/debug.config")

    /// Finds the kernel that was built from this source with our configuration, or builds it, which
    /// takes a quarter of an hour on two processors; older ones of the series are removed.
    ///
    /// What was interrupted goes on where it was: the folder is under its final name only when all is
    /// there, and each step in it under its own.
    static func build(_ packages: KernelPackages, from archive: Archive, in root: BuildRoot)
        async throws -> KernelImage
    {
        let kernels = Layout.cache.appending("kernels")
        let prefix = "\(packages.series)_"
        var digest = Digest()
        digest.add(packages.version)
        digest.add(root.compiler)
        for line in settings(in: try Files.text(config)) { digest.add(line) }
        let name = "\(prefix)\(packages.release)_\(packages.version)_\(digest.hex)"
        let folder = kernels.appending(name)
        let image = KernelImage(
            packages: packages, folder: folder, buildTree: folder.appending("build"))
        if Files.exists(folder) { return image }

        let unfinished = kernels.appending("\(name).unfinished")
        for old in Files.names(in: kernels)
        where old.hasPrefix(prefix) && old != "\(name).unfinished" {
            try await HostCommand.run(
                "rm", ["-rf", kernels.appending(old).string], purpose: "remove an old kernel")
        }
        let tree = unfinished.appending("build")
        if !Files.exists(tree) {
            try await Progress.during("fetching the source of Linux \(packages.version)") {
                try await unpack(packages, from: archive, in: unfinished)
            }
        }
        let make = ["CC=\(root.compiler)", "HOSTCC=\(root.compiler)"]
        try await configure(tree, make: make, in: root)
        try await Progress.during(
            "building Linux \(packages.release), which looks for our bugs; it takes a while"
        ) {
            let processors = max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1)
            try await run(
                make + ["-s", "-j\(processors)", "bzImage", "modules"], in: tree, root: root)
            try await run(
                make + ["-s", "INSTALL_MOD_PATH=/build/installed", "modules_install"],
                in: tree, root: root)
        }
        try await arrange(unfinished, release: packages.release)
        try await KernelImage.decompress(unfinished, release: packages.release)
        try Files.rename(unfinished, to: folder)
        return image
    }

    private static func unpack(
        _ packages: KernelPackages, from archive: Archive, in folder: FilePath
    ) async throws {
        let download = folder.appending("download")
        try Files.makeDirectory(download)
        try await archive.download(packages.packages, to: download)
        let script = """
            cd "$1"
            for package in download/*.deb; do dpkg -x "$package" download; done
            rm -rf build.new
            mkdir build.new
            tar -x -J -f download/usr/src/linux-source-*.tar.xz -C build.new --strip-components=1
            rm -rf download
            mv build.new build
            """
        try await HostCommand.run(
            "sh", ["-euc", script, "sh", folder.string], purpose: "unpack the kernel's source")
    }

    /// Writes .config, and refuses one in which a line of ours is missing: Kconfig drops silently
    /// what depends on something that is off.
    private static func configure(_ tree: FilePath, make: [String], in root: BuildRoot) async throws
    {
        let lines = try Files.text(config)
        try Files.write(lines, to: tree.appending("kernel/configs/iopmem-debug.config"))
        try await run(
            make + ["-s", "defconfig", "kvm_guest.config", "iopmem-debug.config"],
            in: tree, root: root)
        let missing = missing(from: try Files.text(tree.appending(".config")), of: lines)
        if !missing.isEmpty {
            throw LabError(
                "the kernel's configuration is not what was asked for",
                evidence: missing.joined(separator: "\n"),
                remedy: "mend Tests/VMLab/debug.config; Kconfig tells what these depend on")
        }
    }

    /// The lines of a configuration fragment that a .config lacks.
    static func missing(from config: String, of fragment: String) -> [String] {
        let present = Set(settings(in: config))
        return settings(in: fragment).filter { !present.contains($0) }
    }

    private static func settings(in config: String) -> [String] {
        config.split(separator: "\n").map(String.init).filter {
            $0.hasPrefix("CONFIG_") || $0.hasPrefix("# CONFIG_")
        }
    }

    private static func run(
        _ arguments: [String], in tree: FilePath, root: BuildRoot
    ) async throws {
        let outcome = try await root.make(["-C", "/build"] + arguments, in: tree)
        if outcome.succeeded { return }
        throw LabError(
            "the kernel does not build: make \(arguments.joined(separator: " "))",
            evidence: outcome.output.lastLines(30))
    }

    /// As the archive's packages are laid out, and beside it what modules are built with: the tree
    /// without objects and without the sources of what is built in.
    private static func arrange(_ folder: FilePath, release: String) async throws {
        let script = """
            cd "$1"
            mkdir -p boot
            cp build/arch/x86/boot/bzImage "boot/vmlinuz-$2"
            cp build/System.map "boot/System.map-$2"
            rm -rf lib
            mv build/installed/lib lib
            rm -rf build/installed "lib/modules/$2/build" "lib/modules/$2/source"
            depmod -b . "$2"
            cd build
            rm -rf vmlinux* arch/x86/boot Documentation
            for folder in arch block certs crypto drivers fs init io_uring ipc kernel lib mm net \\
                rust samples security sound usr virt; do
                find "$folder" -type f \\( -name '*.[acoS]' -o -name '.*.cmd' -o -name '*.ko' \\
                    -o -name '*.dts*' \\) -delete
            done
            """
        try await HostCommand.run(
            "sh", ["-euc", script, "sh", folder.string, release],
            purpose: "make Linux \(release) bootable")
    }
}
