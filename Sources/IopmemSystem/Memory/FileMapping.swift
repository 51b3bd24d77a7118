// SPDX-License-Identifier: GPL-2.0
private import CMemory
private import Glibc
public import SystemPackage

/// A shared mapping of a part of a file, unmapped with its last owner.
///
/// The file may shrink and its device may go away while it is mapped; the copies
/// here then throw EIO where a plain access would end the process by SIGBUS.
public final class FileMapping {
    /// Bytes of a page, the unit of mappings.
    public static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// The mapped bytes, for passing their address to the kernel. Do not touch
    /// them by load or store: see the type's own text.
    public let bytes: UnsafeMutableRawBufferPointer
    /// Where in the file `bytes` begins.
    public let fileOffset: UInt64

    /// Maps `offset ..< offset + length` of a file, MAP_SHARED.
    ///
    /// - Parameters:
    ///   - offset: in bytes, a multiple of the page size.
    ///   - length: in bytes, not 0.
    ///   - writable: whether stores are allowed; the file must be open for it.
    public init(_ file: OpenFile, offset: UInt64, length: Int, writable: Bool) throws(Errno) {
        try check(iopmem_guard_install())
        let address = mmap(
            nil, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
            file.descriptor.rawValue, off_t(offset))
        guard let address, address != MAP_FAILED else { throw Errno(rawValue: errno) }
        bytes = UnsafeMutableRawBufferPointer(start: address, count: length)
        fileOffset = offset
    }

    deinit { munmap(bytes.baseAddress, bytes.count) }

    /// Copies out of the mapping. EIO if the memory is not there any more.
    ///
    /// - Parameter offset: in bytes from the start of the mapping.
    public func copyOut(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Errno) {
        let source = UnsafeMutableRawBufferPointer(
            rebasing: bytes[offset...][..<(offset + buffer.count)])
        try check(iopmem_guarded_copy(buffer.baseAddress, source.baseAddress, buffer.count))
    }

    /// Copies into the mapping. EIO if the memory is not there any more.
    ///
    /// - Parameter offset: in bytes from the start of the mapping.
    public func copyIn(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(Errno) {
        let target = UnsafeMutableRawBufferPointer(
            rebasing: bytes[offset...][..<(offset + buffer.count)])
        try check(iopmem_guarded_copy(target.baseAddress, buffer.baseAddress, buffer.count))
    }

    /// Makes page tables for a part as if each of its pages had been touched,
    /// without changing a byte.
    ///
    /// - Parameters:
    ///   - offset: in bytes from the start of the mapping, on a page boundary.
    ///   - writing: touched by stores, so that holes get blocks.
    public func populate(at offset: Int, length: Int, writing: Bool) throws(Errno) {
        let part = UnsafeMutableRawBufferPointer(rebasing: bytes[offset...][..<(offset + length)])
        try check(iopmem_populate(part.baseAddress, part.count, writing))
    }

    /// Writes back and forgets what the processor's caches hold of it, a cache line at a time: for
    /// mappings of device memory, whose driver has no fsync.
    public func flushCaches() throws(Errno) {
        try check(iopmem_guarded_flush(bytes.baseAddress, bytes.count))
    }

    /// msync(2): stores so far are on the device.
    public func sync() throws(Errno) {
        guard msync(bytes.baseAddress, bytes.count, Int32(MS_SYNC)) == 0 else {
            throw Errno(rawValue: errno)
        }
    }
}
