// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// I/Os of a run, of which several may be under way: fio's `iodepth`. Each has a buffer of its own.
protocol TransferQueue: AnyObject {
    /// One for each I/O that can be under way.
    var buffers: [UnsafeMutableRawBufferPointer] { get }
    /// Begins to move the first `count` bytes of a buffer.
    func begin(_ direction: TransferRing.Direction, slot: Int, count: Int, at offset: UInt64)
    /// Waits for the end of an I/O and says which, and what went wrong if something did.
    func next() -> (slot: Int, failure: TransferFailure?)
    /// Sees to it that everything written is on the device.
    func sync() throws(Errno)
    /// The same, and that what is read from now on comes from there, as far as the kernel can be told
    /// so.
    func settle() throws(Errno)
}

/// One I/O at a time, by an engine that waits for each.
final class SerialQueue: TransferQueue {
    let buffers: [UnsafeMutableRawBufferPointer]
    private let memory: AlignedBuffer
    private let engine: any Engine
    private var ended: (slot: Int, failure: TransferFailure?)?

    init(_ engine: any Engine, blockSize: Int) {
        self.engine = engine
        memory = AlignedBuffer(size: blockSize)
        buffers = [memory.bytes]
    }

    func begin(_ direction: TransferRing.Direction, slot: Int, count: Int, at offset: UInt64) {
        let block = UnsafeMutableRawBufferPointer(rebasing: buffers[slot][..<count])
        do throws(TransferFailure) {
            switch direction {
            case .read: try engine.read(block, at: offset)
            case .write: try engine.write(UnsafeRawBufferPointer(block), at: offset)
            }
            ended = (slot, nil)
        } catch {
            ended = (slot, error)
        }
    }

    func next() -> (slot: Int, failure: TransferFailure?) {
        guard let last = ended else { preconditionFailure("nothing is under way") }
        ended = nil
        return last
    }

    func sync() throws(Errno) { try engine.sync() }

    func settle() throws(Errno) { try engine.settle() }
}

/// Several at once, by io_uring.
final class RingQueue: TransferQueue {
    let buffers: [UnsafeMutableRawBufferPointer]
    private let memory: AlignedBuffer
    private let file: OpenFile
    private let ring: TransferRing
    private var lengths: [Int]

    init(_ file: OpenFile, blockSize: Int, depth: Int) throws(Errno) {
        lengths = [Int](repeating: 0, count: depth)
        memory = AlignedBuffer(size: blockSize * depth)
        let bytes = memory.bytes
        buffers = (0..<depth).map { slot in
            UnsafeMutableRawBufferPointer(
                rebasing: bytes[(slot * blockSize)..<((slot + 1) * blockSize)])
        }
        self.file = file
        ring = try TransferRing(file, buffers: buffers)
    }

    func begin(_ direction: TransferRing.Direction, slot: Int, count: Int, at offset: UInt64) {
        ring.begin(direction, slot: slot, count: count, at: offset)
        lengths[slot] = count
    }

    func next() -> (slot: Int, failure: TransferFailure?) {
        let completion: TransferRing.Completion
        do throws(Errno) {
            completion = try ring.next()
        } catch {
            // Buffers that the kernel may still write to must not be freed, and nothing tells which.
            preconditionFailure("io_uring does not answer: \(error)")
        }
        switch completion.result {
        case .failure(let errno): return (completion.slot, .errno(errno))
        case .success(let count) where count < lengths[completion.slot]:
            return (completion.slot, .endOfTarget)
        case .success: return (completion.slot, nil)
        }
    }

    func sync() throws(Errno) { try file.sync() }

    func settle() throws(Errno) {
        try file.sync()
        try file.dropCache()
    }
}
