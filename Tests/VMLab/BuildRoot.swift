// SPDX-License-Identifier: GPL-2.0

import SystemPackage

/// A Debian release in a folder, with the compiler and the headers that a kernel's modules need.
struct BuildRoot {
    let folder: FilePath
    /// The name of its compiler.
    let compiler: String

    /// What a root is for. They are apart, since those who want a module need few packages.
    enum Purpose: String {
        /// Building the driver for the archive's kernels.
        case modules
        /// Building a kernel, and looking at the driver's source.
        case tools
    }

    /// Finds the root for these kernels or makes it; roots for older kernels are removed.
    static func prepare(
        _ archive: Archive, kernels: [KernelPackages], for purpose: Purpose = .modules
    ) async throws -> BuildRoot {
        let release = archive.release
        let built = kernels.filter(\.areBuilt)
        let packages =
            [release.compiler, "make", "dwarves", "libelf1"]
            + (purpose == .tools ? release.kernelTools : [])
            + built.map { "linux-headers-\($0.release)" }.sorted()
        let text = purpose == .modules ? "build modules in" : "build kernels and check modules in"
        let folder = try await DebianRoot.prepare(
            archive, (purpose == .modules ? "" : "\(purpose)-") + release.codename,
            packages: packages, versions: built.map(\.version).sorted(), variant: "apt",
            places: ["build", "kernel"], to: text)
        return BuildRoot(folder: folder, compiler: release.compiler)
    }

    /// Runs make in the root; see ``run(_:in:kernel:)``.
    func make(
        _ arguments: [String], in source: FilePath, kernel tree: FilePath? = nil
    ) async throws -> HostCommand.Outcome {
        try await run(["make"] + arguments, in: source, kernel: tree)
    }

    /// Runs a program in the root on a folder of the host, which appears there as /build, and another
    /// one, such as a kernel's build tree, as /kernel. The mounts live in a namespace of their own and
    /// vanish with it, however this ends.
    func run(
        _ command: [String], in source: FilePath, kernel tree: FilePath? = nil
    ) async throws -> HostCommand.Outcome {
        let script = """
            mount -t proc proc "$1/proc"
            mount --bind "$2" "$1/build"
            [ -z "$3" ] || mount --bind "$3" "$1/kernel"
            root=$1
            shift 3
            exec chroot "$root" "$@"
            """
        return try await DebianRoot.run(
            script, in: folder, [source.string, tree?.string ?? ""] + command)
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
