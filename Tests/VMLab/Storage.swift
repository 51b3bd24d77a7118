// SPDX-License-Identifier: GPL-2.0

import Glibc
public import SystemPackage

/// The files behind a machine's devices: what is left of it when its power is cut.
public struct Storage: Sendable {
    /// Holds one file per card and drive.
    public let folder: FilePath

    /// Bytes of an NVMe drive.
    public static let driveSize = 64 << 20

    /// Files that outlive their machine, so that another can be powered on with them; see
    /// ``remove()``.
    public static func lasting(_ name: String) throws -> Storage {
        let folder = Layout.cache.appending("run").appending("\(name)-\(getpid())-storage")
        try Files.makeDirectory(folder)
        return Storage(folder: folder)
    }

    /// Deletes the files.
    public func remove() {
        Files.discard(folder)
    }

    /// What the guest of a machine with ``Topology/hasLedger`` has written to its ledger. A line that
    /// the guest's write call has returned from is in there, whatever then happens to the machine.
    public var ledger: FilePath { folder.appending("ledger") }

    /// The disk of an ``InstalledSystem``.
    var disk: FilePath { folder.appending("system.qcow2") }

    /// Its /boot.
    var boot: FilePath { folder.appending("boot") }

    /// The file that is a card's memory.
    public func card(_ name: String) -> FilePath { folder.appending("\(name).memory") }

    /// The file that is a drive's content.
    public func drive(_ name: String) -> FilePath { folder.appending("\(name).img") }

    /// Makes the files that are not there yet.
    func prepare(_ topology: Topology) async throws {
        try Files.makeDirectory(folder)
        for node in topology.leaves {
            switch node {
            case .nvme(let name) where !Files.exists(drive(name)):
                let pattern = try pattern()
                try await HostCommand.run(
                    "cp", ["--sparse=never", pattern.string, drive(name).string],
                    purpose: "fill the drive \(name)")
            case .card(let name, let megabytes) where topology.keepsContents,
                .nvdimm(let name, let megabytes) where topology.keepsContents:
                if Files.exists(card(name)) { break }
                try Files.write([], to: card(name))
                if truncate(card(name).string, megabytes << 20) != 0 {
                    throw LabError("cannot size \(card(name)): \(Errno(rawValue: errno))")
                }
            default: break
            }
        }
    }

    /// Bytes of one of the files, as QEMU sees them now.
    public static func bytes(of file: FilePath, offset: Int, count: Int) throws -> [UInt8] {
        let descriptor = try FileDescriptor.open(file, .readOnly, options: .closeOnExec)
        defer { try? descriptor.close() }
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let rest = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                let got = try descriptor.read(
                    fromAbsoluteOffset: Int64(offset + filled), into: rest)
                if got == 0 { throw LabError("\(file) ends before byte \(offset + count)") }
                filled += got
            }
        }
    }

    /// Puts bytes into one of the files; QEMU and the guest see them at once.
    public static func overwrite(_ file: FilePath, offset: Int, with bytes: [UInt8]) throws {
        let descriptor = try FileDescriptor.open(file, .writeOnly, options: .closeOnExec)
        defer { try? descriptor.close() }
        _ = try descriptor.writeAll(toAbsoluteOffset: Int64(offset), bytes)
    }

    /// The content of a new drive, made once: words of a splitmix64 sequence.
    ///
    /// Two machines may find at the same time that it is missing. Each writes a file of its own, and
    /// whichever is renamed last stays; they are equal.
    private func pattern() throws -> FilePath {
        let file = Layout.cache.appending("drive-pattern.img")
        if Files.exists(file) { return file }
        let unfinished = folder.appending("drive-pattern.new")
        var state: UInt64 = 0x10B3
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.driveSize) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            for offset in stride(from: 0, to: Self.driveSize, by: 8) {
                state &+= 0x9e37_79b9_7f4a_7c15
                var word = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
                word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
                raw.storeBytes(
                    of: (word ^ (word >> 31)).littleEndian, toByteOffset: offset, as: UInt64.self)
            }
            count = Self.driveSize
        }
        try Files.write(bytes, to: unfinished)
        try Files.rename(unfinished, to: file)
        return file
    }
}
