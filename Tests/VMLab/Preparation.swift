// SPDX-License-Identifier: GPL-2.0

import FoundationEssentials
public import SystemPackage

/// Makes everything that a machine needs, and remembers it: kernels, build roots, modules.
public struct Preparation: Sendable {
    /// Where the driver's source is; nil boots kernels without it.
    public let driver: FilePath?
    /// Whether machines boot a Debian that our packages are installed in, instead of this machine's
    /// own system with what was just built.
    public let isInstalled: Bool

    /// A preparation with the driver in this folder.
    public init(driver: FilePath? = Layout.driver) {
        self.driver = driver
        isInstalled = false
    }

    private init(installed: Bool) {
        driver = nil
        isInstalled = installed
    }

    /// A Debian with our packages, and with the kernel of its own archive.
    public static let installed = Preparation(installed: true)

    /// A kernel that can be booted: its packages, and the tree with its image and modules.
    public struct Bootable: Sendable {
        /// Which one it is.
        let kernel: Kernel
        /// The exact kernel.
        public let packages: KernelPackages
        /// Holds `boot/vmlinuz-RELEASE` and `lib/modules/RELEASE`.
        let folder: FilePath
        /// What it is installed in; nil for a snapshot of this machine's system.
        var system: InstalledSystem?

        var image: FilePath { folder.appending("boot/vmlinuz-\(packages.release)") }
        /// The same, not compressed; nil where nobody has unpacked it.
        var plainImage: FilePath? {
            let plain = folder.appending("boot/vmlinux-\(packages.release)")
            return Files.exists(plain) ? plain : nil
        }
        /// A stub in the archive's packages, which keep the real one among the debugging symbols.
        var symbols: FilePath { folder.appending("boot/System.map-\(packages.release)") }
    }

    /// How long what the archive offered counts as what it offers.
    private static let freshness = 12 * 3600

    /// The exact versions of the supported kernels, newest in the archive.
    public static func versions() async throws -> [KernelPackages] {
        try await Exclusion.preparation.during {
            try await resolve(Kernel.supported).map(\.packages)
        }
    }

    /// Prepares one kernel; only one process at a time does so.
    public func bootable(_ kernel: Kernel) async throws -> Bootable {
        let (archive, packages, root) = try await Exclusion.preparation.during {
            try await Self.parts(of: kernel, for: kernel.looksForBugs ? .tools : .modules)
        }
        if isInstalled {
            // It takes minutes, for which nobody else shall wait.
            let system = try await Exclusion.installation.during {
                try await InstalledSystem.prepare(packages, from: archive)
            }
            return Bootable(
                kernel: kernel, packages: packages,
                folder: system.boot.removingLastComponent(), system: system)
        }
        let image =
            if kernel.looksForBugs {
                // It takes so long that whoever prepares another kernel shall not wait for it.
                try await Exclusion.kernelBuild.during {
                    try await KernelImage.build(packages, from: archive, in: root)
                }
            } else {
                try await Exclusion.preparation.during {
                    try await KernelImage.prepare(packages, from: archive)
                }
            }
        guard let driver else {
            return Bootable(kernel: kernel, packages: packages, folder: image.folder)
        }
        let module = try await Exclusion.preparation.during {
            try await DriverModule.prepare(source: driver, image: image, root: root)
        }
        return Bootable(kernel: kernel, packages: packages, folder: module.folder)
    }

    /// Where a kernel comes from, and a root for work on its modules. Under the preparation's lock.
    static func parts(
        of kernel: Kernel, for purpose: BuildRoot.Purpose
    ) async throws -> (Archive, KernelPackages, BuildRoot) {
        // A root serves all kernels of its release, whichever of them is asked for.
        let sharing = Kernel.all.filter {
            $0.release == kernel.release && ($0 == kernel || !$0.looksForBugs)
        }
        let all = try await resolve(sharing)
        guard let entry = all.first(where: { $0.packages.series == kernel.series }) else {
            throw LabError("the lab's record of kernels lacks \(kernel.series)")
        }
        let archive = Archive(known: entry.sources, of: kernel.release)
        let root = try await BuildRoot.prepare(
            archive, kernels: all.map(\.packages), for: purpose)
        return (archive, entry.packages, root)
    }

    /// What the archive offered at the time of the last look.
    private struct Resolved: Codable {
        let codename: String
        let sources: [String]
        let packages: KernelPackages
    }

    /// These kernels' packages, in this order: from the record, or from the archive.
    private static func resolve(_ kernels: [Kernel]) async throws -> [Resolved] {
        let record = Layout.cache.appending("kernels.json")
        var known: [Resolved] = []
        if Files.exists(record) {
            let data = Data(try Files.read(record))
            known = (try? JSONDecoder().decode([Resolved].self, from: data)) ?? []
        }
        let isFresh = Files.age(record).map { $0 < freshness } ?? false
        let wanted = kernels.map(\.series)
        func those(of all: [Resolved]) -> [Resolved]? {
            let found = wanted.compactMap { name in all.first { $0.packages.series == name } }
            return found.count == wanted.count ? found : nil
        }
        if isFresh, let found = those(of: known) { return found }
        do {
            // One that was asked for once is asked for again, so that no record loses it.
            let names = Set(wanted + known.map(\.packages.series))
            let found = try await Progress.during("asking the archive for the newest kernels") {
                try await lookUp(
                    Kernel.all.filter { !$0.looksForBugs || names.contains($0.series) })
            }
            try Files.makeDirectory(Layout.cache)
            let unfinished = Layout.cache.appending("kernels.json.new")
            try Files.write([UInt8](JSONEncoder().encode(found)), to: unfinished)
            try Files.rename(unfinished, to: record)
            return those(of: found) ?? []
        } catch {
            guard let found = those(of: known) else { throw error }
            Progress.say("the archive cannot be reached; using the kernels of the last look")
            return found
        }
    }

    private static func lookUp(_ kernels: [Kernel]) async throws -> [Resolved] {
        var archives: [DebianRelease: Archive] = [:]
        var found: [Resolved] = []
        for kernel in kernels {
            let archive: Archive
            if let opened = archives[kernel.release] {
                archive = opened
            } else {
                archive = try await Archive.open(kernel.release)
                archives[kernel.release] = archive
            }
            found.append(
                Resolved(
                    codename: kernel.release.codename, sources: archive.sources,
                    packages: try await archive.newest(kernel)))
        }
        return found
    }
}
