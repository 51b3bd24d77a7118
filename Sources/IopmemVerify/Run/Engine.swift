// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// Why a block could not be moved.
enum TransferFailure: Error, Equatable {
    /// The kernel said so.
    case errno(Errno)
    /// The target ended before the block did.
    case endOfTarget
}

/// How blocks get to the target and back, one after the other: fio's synchronous `ioengine`s.
protocol Engine: AnyObject {
    /// Writes a block; when it returns, the block may be reused.
    func write(_ block: UnsafeRawBufferPointer, at offset: UInt64) throws(TransferFailure)
    /// Fills a block from the target.
    func read(
        _ block: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(TransferFailure)
    /// Sees to it that everything written is on the device.
    func sync() throws(Errno)
    /// The same, and that what is read from now on comes from there, as far as the kernel can be told
    /// so.
    func settle() throws(Errno)
}

/// pread(2) and pwrite(2).
final class PsyncEngine: Engine {
    private let file: OpenFile

    init(_ file: OpenFile) { self.file = file }

    func write(_ block: UnsafeRawBufferPointer, at offset: UInt64) throws(TransferFailure) {
        do throws(Errno) { try file.write(block, at: offset) } catch { throw .errno(error) }
    }

    func read(
        _ block: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(TransferFailure) {
        let count: Int
        do throws(Errno) {
            count = try file.read(into: block, at: offset)
        } catch {
            throw .errno(error)
        }
        guard count == block.count else { throw .endOfTarget }
    }

    func sync() throws(Errno) { try file.sync() }

    func settle() throws(Errno) {
        try file.sync()
        try file.dropCache()
    }
}

/// Copies to and from one shared mapping of the whole range.
final class MmapEngine: Engine {
    private let file: OpenFile
    private let range: Range<UInt64>
    private let writable: Bool
    /// How the file is mapped, where it is memory itself; else nil.
    private let memory: MemoryNode?
    /// Nil only while `settle` maps anew.
    private var mapping: FileMapping?

    /// - Parameter memory: how the file is mapped, where it is memory itself; else nil.
    init(
        _ file: OpenFile, range: Range<UInt64>, writable: Bool, memory: MemoryNode? = nil
    ) throws(Errno) {
        self.file = file
        self.range = range
        self.writable = writable
        self.memory = memory
        mapping = try map()
    }

    private func map() throws(Errno) -> FileMapping {
        let unit = memory?.unit ?? UInt64(FileMapping.pageSize)
        let start = range.lowerBound / unit * unit
        // A part of a page is mapped anyway; a part of a unit of device DAX is refused.
        let end = memory == nil ? range.upperBound : (range.upperBound + unit - 1) / unit * unit
        return try FileMapping(
            file, offset: start, length: Int(end - start), writable: writable)
    }

    func write(_ block: UnsafeRawBufferPointer, at offset: UInt64) throws(TransferFailure) {
        guard let mapping else { throw .errno(.badAddress) }
        do throws(Errno) {
            try mapping.copyIn(block, at: Int(offset - mapping.fileOffset))
        } catch {
            throw .errno(error)
        }
    }

    func read(
        _ block: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(TransferFailure) {
        guard let mapping else { throw .errno(.badAddress) }
        do throws(Errno) {
            try mapping.copyOut(at: Int(offset - mapping.fileOffset), into: block)
        } catch {
            throw .errno(error)
        }
    }

    func sync() throws(Errno) {
        if memory?.hasSync ?? true {
            try mapping?.sync()
        } else {
            try mapping?.flushCaches()
        }
    }

    func settle() throws(Errno) {
        guard memory == nil else { return try sync() }
        if writable { try mapping?.sync() }
        // Cached pages can only be dropped while nobody maps them.
        mapping = nil
        try file.sync()
        try file.dropCache()
        mapping = try map()
    }
}
