// SPDX-License-Identifier: GPL-2.0

import SystemPackage

/// The driver, built for one kernel: a tree like ``KernelImage``'s in which modprobe finds it.
struct DriverModule {
    let packages: KernelPackages
    let folder: FilePath

    /// Finds the module built from this source or builds it; a compiler's warning is a failure.
    static func prepare(source: FilePath, image: KernelImage, root: BuildRoot) async throws
        -> DriverModule
    {
        let packages = image.packages
        let files = sourceFiles(in: source)
        guard files.contains("Kbuild") || files.contains("Makefile") else {
            throw LabError("there is no driver to build in \(source)")
        }
        var digest = Digest()
        digest.add(packages.version)
        digest.add(root.folder.string)
        // A kernel of our own can change without a new version.
        if let tree = image.buildTree { digest.add(tree.string) }
        for file in files {
            digest.add(file)
            digest.add(try Files.read(source.pushing(FilePath(file))))
        }
        let modules = Layout.cache.appending("modules")
        // The source's folder is part of the name, so that a trial does not evict the real one.
        var origin = Digest()
        origin.add(source.string)
        let prefix = "\(packages.series)_\(origin.hex)_"
        let folder = modules.appending(prefix + digest.hex)
        if Files.exists(folder) { return DriverModule(packages: packages, folder: folder) }

        let unfinished = modules.appending("\(prefix)\(digest.hex).unfinished")
        try await HostCommand.run(
            "rm", ["-rf", unfinished.string], purpose: "remove an unfinished module")
        try Files.makeDirectory(unfinished)
        // Most of a changed driver is as it was.
        let unchanged =
            source == Layout.driver
            ? nil : try await prepare(source: Layout.driver, image: image, root: root).objects
        try await Progress.during("building the driver for Linux \(packages.release)") {
            // A module of an older lab's has none.
            if let unchanged, Files.exists(unchanged) {
                try await seed(unfinished.appending("build"), with: unchanged, keeping: files)
            }
            try await build(files, of: source, for: image, in: root, into: unfinished)
            try await assemble(image, into: unfinished)
            try Files.rename(unfinished, to: folder)
        }
        for old in Files.names(in: modules)
        where old.hasPrefix(prefix) && old != prefix + digest.hex {
            try await HostCommand.run(
                "rm", ["-rf", modules.appending(old).string], purpose: "remove an old module")
        }
        return DriverModule(packages: packages, folder: folder)
    }

    /// What the compiler made of the sources, beside them. It knows all of them by one path,
    /// wherever they are, so that make finds in a copy what need not be compiled again.
    private var objects: FilePath { folder.appending("objects") }

    private static func seed(
        _ copy: FilePath, with objects: FilePath, keeping files: [String]
    ) async throws {
        try await HostCommand.run(
            "cp", ["--archive", objects.string, copy.string], purpose: "copy what is compiled")
        // What is built must have been built of this source.
        let others = sourceFiles(in: copy).filter { !files.contains($0) } + ["iopmem.ko"]
        try await HostCommand.run(
            "rm", ["-f"] + others.map { copy.pushing(FilePath($0)).string },
            purpose: "remove what is not of this driver")
    }

    /// Compiles a copy, so that kernels never see each other's objects and the checkout stays clean.
    private static func build(
        _ files: [String], of source: FilePath, for image: KernelImage, in root: BuildRoot,
        into folder: FilePath
    ) async throws {
        let packages = image.packages
        let copy = folder.appending("build")
        try Self.copy(files, of: source, to: copy)
        let outcome = try await root.make(
            image.makeArguments(with: root.compiler) + ["M=/build", "modules"], in: copy,
            kernel: image.buildTree)
        let complaints = warnings(in: outcome.output)
        guard outcome.succeeded, complaints.isEmpty else {
            throw LabError(
                outcome.succeeded
                    ? "the driver compiles with warnings for Linux \(packages.release)"
                    : "the driver does not compile for Linux \(packages.release)",
                evidence: complaints.isEmpty || !outcome.succeeded
                    ? outcome.output.lastLines(60) : complaints.joined(separator: "\n"))
        }
        guard Files.exists(copy.appending("iopmem.ko")) else {
            throw LabError("\(source) builds no iopmem.ko", evidence: outcome.output.lastLines(20))
        }
    }

    static func copy(_ files: [String], of source: FilePath, to folder: FilePath) throws {
        for file in files {
            let target = folder.pushing(FilePath(file))
            let bytes = try Files.read(source.pushing(FilePath(file)))
            // One that stays as it is stays as old as it is.
            guard (try? Files.read(target)) != bytes else { continue }
            try Files.makeDirectory(target.removingLastComponent())
            try Files.write(bytes, to: target)
        }
    }

    /// Lines of a module build that announce a warning, whoever announces it.
    static func warnings(in output: String) -> [String] {
        output.split(separator: "\n").map(String.init).filter { line in
            let lower = line.lowercased()
            // Debian's point releases move the compiler a little; it says so and it is harmless.
            return lower.contains("warning:")
                && !lower.contains("the compiler differs from the one used to build the kernel")
        }
    }

    /// Hard links to the kernel's own modules, ours among the updates, and a fresh index.
    private static func assemble(_ image: KernelImage, into folder: FilePath) async throws {
        let release = image.packages.release
        let script = """
            cp -al "$2/boot" "$2/lib" "$1/"
            mkdir -p "$1/lib/modules/$3/updates"
            cp "$1"/build/*.ko "$1/lib/modules/$3/updates/"
            mv "$1/build" "$1/objects"
            rm -f "$1/lib/modules/$3"/modules.*.bin "$1/lib/modules/$3"/modules.dep
            rm -f "$1/lib/modules/$3"/modules.alias "$1/lib/modules/$3"/modules.symbols
            rm -f "$1/lib/modules/$3"/modules.softdep "$1/lib/modules/$3"/modules.devname
            depmod -b "$1" "$3"
            """
        try await HostCommand.run(
            "sh", ["-euc", script, "sh", folder.string, image.folder.string, release],
            purpose: "index the modules of Linux \(release)")
    }

    /// The driver's sources, relative and sorted, without what a build in place leaves behind.
    static func sourceFiles(in folder: FilePath) -> [String] {
        var found: [String] = []
        func walk(_ relative: String) {
            for name in Files.names(in: folder.pushing(FilePath(relative))) {
                let path = relative.isEmpty ? name : "\(relative)/\(name)"
                if Files.isDirectory(folder.pushing(FilePath(path))) {
                    if path != "compat/generated", name != ".git" { walk(path) }
                } else if !isBuildProduct(name) {
                    found.append(path)
                }
            }
        }
        walk("")
        return found.sorted()
    }

    private static func isBuildProduct(_ name: String) -> Bool {
        [".o", ".ko", ".mod", ".mod.c", ".cmd"].contains { name.hasSuffix($0) }
            || ["Module.symvers", "modules.order"].contains(name)
    }
}
