// SPDX-License-Identifier: GPL-2.0

import SystemPackage

/// A Debian release in a folder, with the compiler and the headers that a kernel's modules need.
struct BuildRoot {
    let folder: FilePath

    /// Finds the root for these kernels or makes it; roots for older kernels are removed.
    static func prepare(_ archive: Archive, kernels: [KernelPackages]) async throws -> BuildRoot {
        let release = archive.release
        let packages =
            [release.compiler, "make", "dwarves", "libelf1"]
            + kernels.map { "linux-headers-\($0.release)" }.sorted()
        var digest = Digest()
        for text in packages + kernels.map(\.version).sorted() { digest.add(text) }
        let roots = Layout.cache.appending("roots")
        let folder = roots.appending("\(release.codename)-\(digest.hex)")
        if Files.exists(folder) { return BuildRoot(folder: folder) }

        try Files.makeDirectory(roots)
        for name in Files.names(in: roots) where name.hasPrefix("\(release.codename)-") {
            try await remove(roots.appending(name))
        }
        let unfinished = roots.appending("\(release.codename)-\(digest.hex).unfinished")
        let sources = roots.appending("\(release.codename).list")
        try Files.write(archive.sources.joined(separator: "\n") + "\n", to: sources)
        try await Progress.during("making a Debian \(release.codename) root to build modules in") {
            do {
                try await HostCommand.run(
                    "mmdebstrap",
                    [
                        "--mode=root", "--variant=apt", "--format=directory",
                        "--aptopt=APT::Install-Recommends \"false\"",
                        "--include=\(packages.joined(separator: ","))",
                        release.codename, unfinished.string, sources.string,
                    ],
                    purpose: "make a Debian \(release.codename) root")
                try Files.makeDirectory(unfinished.appending("build"))
                try Files.rename(unfinished, to: folder)
            } catch {
                try await remove(unfinished)
                throw error
            }
        }
        return BuildRoot(folder: folder)
    }

    /// Runs make in the root on a folder of the host, which appears there as /build. The mounts live
    /// in a namespace of their own and vanish with it, however this ends.
    func make(_ arguments: [String], in source: FilePath) async throws -> HostCommand.Outcome {
        let script = """
            mount -t proc proc "$1/proc"
            mount --bind "$2" "$1/build"
            root=$1
            shift 2
            exec chroot "$root" make "$@"
            """
        return try await HostCommand.attempt(
            "unshare",
            ["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script, "sh"]
                + [folder.string, source.string] + arguments,
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    private static func remove(_ folder: FilePath) async throws {
        // One file system only: whatever might be mounted below is not ours to delete.
        try await HostCommand.run(
            "rm", ["-rf", "--one-file-system", folder.string], purpose: "remove \(folder)")
    }
}

/// A fingerprint of names and contents (FNV-1a, 64 bits): says that something changed, no more.
struct Digest {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ text: String) {
        add(Array(text.utf8))
    }

    mutating func add(_ bytes: [UInt8]) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
        // The length separates one item from the next.
        state = (state ^ UInt64(bytes.count)) &* 0x100_0000_01b3
    }

    var hex: String {
        let digits = String(state, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
