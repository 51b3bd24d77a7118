// SPDX-License-Identifier: GPL-2.0

import FoundationEssentials
import Glibc
public import SystemPackage

/// Makes everything that a machine needs, and remembers it: kernels, build roots, modules.
public struct Preparation: Sendable {
    /// Where the driver's source is; nil boots kernels without it.
    public let driver: FilePath?

    /// A preparation with the driver in this folder.
    public init(driver: FilePath? = Layout.driver) {
        self.driver = driver
    }

    /// A kernel that can be booted: its packages, and the tree with its image and modules.
    public struct Bootable: Sendable {
        /// The exact kernel.
        public let packages: KernelPackages
        /// Holds `boot/vmlinuz-RELEASE` and `lib/modules/RELEASE`.
        let folder: FilePath

        var image: FilePath { folder.appending("boot/vmlinuz-\(packages.release)") }
    }

    /// How long what the archive offered counts as what it offers.
    private static let freshness = 12 * 3600

    /// The exact versions of the supported kernels, newest in the archive.
    public static func versions() async throws -> [KernelPackages] {
        try await exclusively { try await resolve().map(\.packages) }
    }

    /// Prepares one kernel; only one process at a time does so.
    public func bootable(_ kernel: Kernel) async throws -> Bootable {
        try await Self.exclusively {
            let all = try await Self.resolve()
            guard let entry = all.first(where: { $0.packages.series == kernel.series }) else {
                throw LabError("the lab's record of kernels lacks \(kernel.series)")
            }
            let archive = Archive(known: entry.sources, of: kernel.release)
            let image = try await KernelImage.prepare(entry.packages, from: archive)
            guard let driver else {
                return Bootable(packages: entry.packages, folder: image.folder)
            }
            let siblings = all.filter { $0.codename == kernel.release.codename }
            let root = try await BuildRoot.prepare(archive, kernels: siblings.map(\.packages))
            let module = try await DriverModule.prepare(source: driver, image: image, root: root)
            return Bootable(packages: entry.packages, folder: module.folder)
        }
    }

    /// What the archive offered at the time of the last look.
    private struct Resolved: Codable {
        let codename: String
        let sources: [String]
        let packages: KernelPackages
    }

    private static func resolve() async throws -> [Resolved] {
        let record = Layout.cache.appending("kernels.json")
        let wanted = Kernel.supported.map(\.series)
        var known: [Resolved]?
        if Files.exists(record) {
            let data = Data(try Files.read(record))
            known = try? JSONDecoder().decode([Resolved].self, from: data)
            if known?.map(\.packages.series) != wanted { known = nil }
        }
        if let known, let age = Files.age(record), age < freshness { return known }
        do {
            let found = try await Progress.during("asking the archive for the newest kernels") {
                try await lookUp()
            }
            try Files.makeDirectory(Layout.cache)
            let unfinished = Layout.cache.appending("kernels.json.new")
            try Files.write([UInt8](JSONEncoder().encode(found)), to: unfinished)
            try Files.rename(unfinished, to: record)
            return found
        } catch {
            guard let known else { throw error }
            Progress.say("the archive cannot be reached; using the kernels of the last look")
            return known
        }
    }

    private static func lookUp() async throws -> [Resolved] {
        var archives: [DebianRelease: Archive] = [:]
        var found: [Resolved] = []
        for kernel in Kernel.supported {
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
                    packages: try await archive.newest(series: kernel.series)))
        }
        return found
    }

    /// The tasks of this process take turns among themselves first: one that waits for the file's lock
    /// keeps a thread, and must not keep it from the task that has the lock.
    private static let turn = Slots(count: 1)

    /// Runs while no other process prepares anything in this cache folder.
    private static func exclusively<Result>(
        _ body: () async throws -> Result
    ) async throws -> Result {
        await turn.take()
        defer { turn.give() }
        try Files.makeDirectory(Layout.cache)
        let file = try FileDescriptor.open(
            Layout.cache.appending("lock"), .readWrite, options: [.create, .closeOnExec],
            permissions: .ownerReadWrite)
        defer { try? file.close() }
        if flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 {
            Progress.say("waiting for another preparation to finish")
            let descriptor = file.rawValue
            try await onThread { while flock(descriptor, LOCK_EX) != 0, errno == EINTR {} }
        }
        return try await body()
    }
}
