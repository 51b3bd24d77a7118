// SPDX-License-Identifier: GPL-2.0
private import CMemory
public import SystemPackage

/// One run of a file's bytes on its device.
public struct FileExtent: Sendable, Equatable {
    /// Where in the file, in bytes.
    public let logical: UInt64
    /// Where on the file system's block device, in bytes.
    public let physical: UInt64
    /// Bytes.
    public let length: UInt64
    /// False where the file system says that `physical` does not tell where the
    /// bytes are (compressed, inline, not yet allocated).
    public let isPlain: Bool
}

/// Where a file's bytes are on its block device: the FIEMAP ioctl, read as a
/// cursor that moves forward with bounded memory.
public struct ExtentMap {
    private static let capacity: UInt32 = 256

    private let file: OpenFile
    private let end: UInt64
    private var batch: [FileExtent] = []
    private var position = 0
    private var covered: UInt64

    /// - Parameters:
    ///   - offset: where the first question will be, in bytes.
    ///   - end: behind the last byte that will be asked for.
    public init(_ file: OpenFile, from offset: UInt64, to end: UInt64) {
        self.file = file
        self.end = end
        covered = offset
    }

    /// A node whose byte N is byte N of its memory, up to `end`: no file system is asked.
    public init(linear node: OpenFile, to end: UInt64) {
        file = node
        self.end = end
        batch = [FileExtent(logical: 0, physical: 0, length: end, isPlain: true)]
        covered = end
    }

    /// The extent that holds a byte of the file; nil for a hole. Questions must
    /// come in rising order.
    public mutating func extent(at offset: UInt64) throws(Errno) -> FileExtent? {
        while true {
            while position < batch.count {
                let extent = batch[position]
                if offset < extent.logical { return nil }
                if offset < extent.logical + extent.length { return extent }
                position += 1
            }
            guard offset >= covered else { return nil }
            guard covered < end else { return nil }
            try load(from: max(covered, offset))
        }
    }

    private mutating func load(from start: UInt64) throws(Errno) {
        var raw = [iopmem_extent](repeating: iopmem_extent(), count: Int(Self.capacity))
        var count: UInt32 = 0
        try check(
            iopmem_extents(
                file.descriptor.rawValue, start, end - start, &raw, Self.capacity, &count))
        let unusable = iopmem_extent_unusable_flags()
        batch = raw.prefix(Int(count)).map {
            FileExtent(
                logical: $0.logical, physical: $0.physical, length: $0.length,
                isPlain: $0.flags & unusable == 0)
        }
        position = 0
        // A full answer may have been cut short; anything less reached the end.
        if count == Self.capacity, let last = batch.last {
            covered = max(start + 1, last.logical + last.length)
        } else {
            covered = end
        }
    }
}
