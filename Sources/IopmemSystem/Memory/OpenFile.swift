// SPDX-License-Identifier: GPL-2.0
private import CMemory
public import SystemPackage

/// What statx(2) says about an open file or device node.
public struct FileStatus: Sendable, Equatable {
    /// What kind of file it is.
    public enum Kind: Sendable {
        case regular, directory, block, character, other
    }

    /// The kind.
    public let kind: Kind
    /// Bytes; 0 for device nodes.
    public let size: UInt64
    /// The device number of the file system that holds it.
    public let fileSystem: DeviceNumber
    /// The node's own device number; 0:0 for a regular file.
    public let device: DeviceNumber
    /// STATX_ATTR_DAX: loads and stores of a mapping reach the device itself.
    public let isDAX: Bool

    /// Looks at what `path` leads to without opening it, so without waiting for
    /// a pipe's other end, waking a device or needing permission for it.
    public init(of path: String) throws(Errno) {
        let result = iopmem_open_path(path)
        guard result >= 0 else { throw Errno(rawValue: -result) }
        let descriptor = FileDescriptor(rawValue: result)
        defer { try? descriptor.close() }
        try self.init(descriptor)
    }

    init(_ descriptor: FileDescriptor) throws(Errno) {
        var status = iopmem_file_status()
        try check(iopmem_file_status(descriptor.rawValue, &status))
        kind =
            switch status.mode & 0o170000 {
            case 0o100000: .regular
            case 0o040000: .directory
            case 0o060000: .block
            case 0o020000: .character
            default: .other
            }
        size = status.size
        fileSystem = DeviceNumber(major: status.dev_major, minor: status.dev_minor)
        device = DeviceNumber(
            major: status.rdev_major, minor: status.rdev_minor, isBlock: kind == .block)
        isDAX = status.dax
    }
}

/// Size and rules of an open block device.
public struct BlockGeometry: Sendable, Equatable {
    /// Bytes.
    public let size: UInt64
    /// Bytes; what O_DIRECT offsets and lengths must be multiples of.
    public let logicalBlock: Int
    /// Nothing can be written (BLKROGET).
    public let isReadOnly: Bool
}

/// An open file or device node, closed with its last owner.
///
/// The calls that a storage test needs, each complete: EINTR and short transfers
/// are dealt with here.
public final class OpenFile: Sendable {
    /// How to open.
    public struct Options: OptionSet, Sendable {
        /// The bits.
        public let rawValue: Int
        /// - Parameter rawValue: the bits.
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// O_RDWR instead of O_RDONLY.
        public static let write = Options(rawValue: 1)
        /// O_CREAT, mode 0644.
        public static let create = Options(rawValue: 2)
        /// O_EXCL: the file is new; a block device is held by nobody else.
        public static let exclusive = Options(rawValue: 4)
        /// O_DIRECT: past the page cache.
        public static let direct = Options(rawValue: 8)
    }

    /// The path that was opened.
    public let path: String
    /// The descriptor, for calls that are not here.
    public let descriptor: FileDescriptor

    /// Opens a file, closed on exec.
    public init(_ path: String, _ options: Options = []) throws(Errno) {
        let result = iopmem_open(
            path, options.contains(.write), options.contains(.create),
            options.contains(.exclusive), options.contains(.direct))
        guard result >= 0 else { throw Errno(rawValue: -result) }
        self.path = path
        descriptor = FileDescriptor(rawValue: result)
    }

    deinit { try? descriptor.close() }

    /// What it is.
    public func status() throws(Errno) -> FileStatus {
        try FileStatus(descriptor)
    }

    /// Size and rules of a block device; ENOTTY for anything else.
    public func blockGeometry() throws(Errno) -> BlockGeometry {
        var size: UInt64 = 0
        var logical: UInt32 = 0
        var readOnly = false
        try check(
            iopmem_block_geometry(descriptor.rawValue, &size, &logical, &readOnly))
        return BlockGeometry(size: size, logicalBlock: Int(logical), isReadOnly: readOnly)
    }

    /// Takes the one exclusive lock (flock) of the file, or throws EWOULDBLOCK.
    public func lock() throws(Errno) {
        try check(iopmem_lock(descriptor.rawValue))
    }

    /// Gives `offset ..< offset + length` blocks; where the file system cannot
    /// (EOPNOTSUPP) at least its size.
    public func allocate(offset: UInt64, length: UInt64) throws(Errno) {
        let result = iopmem_allocate(descriptor.rawValue, offset, length)
        guard result == Errno.notSupported.rawValue else { return try check(result) }
        if try status().size < offset + length { try resize(to: offset + length) }
    }

    /// ftruncate(2).
    public func resize(to size: UInt64) throws(Errno) {
        try rethrowing { try descriptor.resize(to: Int64(size)) }
    }

    /// fsync(2): everything written so far is on the device.
    public func sync() throws(Errno) {
        try check(iopmem_sync(descriptor.rawValue))
    }

    /// Forgets clean cached pages, so that the next read asks the device.
    public func dropCache() throws(Errno) {
        try check(iopmem_drop_cache(descriptor.rawValue))
    }

    /// Reads until the buffer is full or the file ends.
    ///
    /// - Returns: the bytes read; fewer than asked for only at the end.
    @discardableResult
    public func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let position = Int64(offset) + Int64(done)
            let count = try rethrowing {
                try descriptor.read(fromAbsoluteOffset: position, into: rest)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes all of the buffer.
    public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
            let position = Int64(offset) + Int64(done)
            let count = try rethrowing {
                try descriptor.write(toAbsoluteOffset: position, rest)
            }
            // A device at its end may take nothing without an error.
            guard count > 0 else { throw .noSpace }
            done += count
        }
    }

    private func rethrowing<T>(_ body: () throws -> T) throws(Errno) -> T {
        do {
            return try body()
        } catch let error as Errno {
            throw error
        } catch {
            // FileDescriptor documents no other error.
            throw .ioError
        }
    }
}

/// Turns CMemory's convention, 0 or a positive errno, into Swift's.
func check(_ result: CInt) throws(Errno) {
    guard result == 0 else { throw Errno(rawValue: result) }
}
