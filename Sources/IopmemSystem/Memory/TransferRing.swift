// SPDX-License-Identifier: GPL-2.0
private import CMemory
private import Glibc
public import SystemPackage

/// Transfers between one file and a set of buffers, several at once, by io_uring(7).
///
/// The buffers are registered: the kernel pins them once, and not for each transfer. So is the file,
/// which the kernel need not look up each time.
public final class TransferRing {
    /// Which way.
    public enum Direction: Sendable {
        /// From the file.
        case read
        /// To the file.
        case write
    }

    /// What one transfer came to.
    public struct Completion: Sendable {
        /// Its buffer's number.
        public let slot: Int
        /// Bytes moved, fewer than asked for only at the end of the file; or why none were.
        public let result: Result<Int, Errno>
    }

    /// A transfer that is under way.
    private struct Transfer {
        var direction: Direction
        var offset: UInt64
        var count: Int
        var done = 0
    }

    private let file: IORing.RegisteredFile
    private let buffers: [UnsafeMutableRawBufferPointer]
    private let event: OwnedDescriptor
    private var ring: IORing
    private var registered: IORing.RegisteredResources<IORing.RegisteredBuffer.Resource>
    private var transfers: [Transfer?]

    /// A ring for so many transfers at once as there are buffers.
    ///
    /// Throws EPERM where io_uring is switched off, and ENOMEM where so much memory may not be
    /// locked.
    ///
    /// - Parameter buffers: They stay where they are as long as the ring lives.
    public init(_ file: OpenFile, buffers: [UnsafeMutableRawBufferPointer]) throws(Errno) {
        let descriptor = iopmem_eventfd()
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        event = OwnedDescriptor(adopting: FileDescriptor(rawValue: descriptor))
        var ring = try IORing(queueDepth: UInt32(buffers.count))
        registered = try ring.registerBuffers(buffers)
        try ring.registerEventFD(FileDescriptor(rawValue: descriptor))
        self.file = try Self.register(file, in: &ring, event: event)
        self.ring = ring
        self.buffers = buffers
        transfers = [Transfer?](repeating: nil, count: buffers.count)
    }

    deinit {
        // A ring that is closed lets go of its files some time later, and so would keep a file system
        // from being unmounted (io_uring/io_uring.c, io_ring_exit_work()).
        try? ring.unregisterFiles()
    }

    /// Opens a file once more, into the ring's own table: swift-system can put a file there in no other
    /// way.
    private static func register(
        _ file: OpenFile, in ring: inout IORing, event: borrowing OwnedDescriptor
    ) throws(Errno) -> IORing.RegisteredFile {
        let flags = fcntl(file.descriptor.rawValue, F_GETFL)
        guard flags >= 0 else { throw Errno(rawValue: errno) }
        let slot = try ring.registerFileSlots(count: 1)[0]
        _ = ring.prepare(
            request: .open(
                FilePath("/proc/self/fd/\(file.descriptor.rawValue)"),
                in: FileDescriptor(rawValue: AT_FDCWD), into: slot,
                mode: flags & O_ACCMODE == O_RDWR ? .readWrite : .readOnly,
                options: FileDescriptor.OpenOptions(rawValue: flags & iopmem_direct_flag())))
        while true {
            do throws(Errno) {
                try ring.submitPreparedRequests()
            } catch .resourceTemporarilyUnavailable, .interrupted {
                Pause.briefly()
            }
            if let completion = ring.tryConsumeCompletion() {
                guard completion.result >= 0 else { throw Errno(rawValue: -completion.result) }
                return slot
            }
            try wait(for: event)
        }
    }

    /// Begins to move the first `count` bytes of a buffer, whose last transfer must have ended. What is
    /// begun is handed to the kernel by ``next()``, all at once.
    public func begin(_ direction: Direction, slot: Int, count: Int, at offset: UInt64) {
        precondition(transfers[slot] == nil, "buffer \(slot) is on its way")
        transfers[slot] = Transfer(direction: direction, offset: offset, count: count)
        prepare(slot)
    }

    /// Waits until a transfer has ended.
    public func next() throws(Errno) -> Completion {
        while true {
            do throws(Errno) {
                try ring.submitPreparedRequests()
            } catch .resourceTemporarilyUnavailable, .interrupted {
                // Nothing is lost: what was not taken is handed over with the next try.
                Pause.briefly()
                if let ended = takeEnded() { return ended }
                continue
            }
            if let ended = takeEnded() { return ended }
            try Self.wait(for: event)
        }
    }

    private func takeEnded() -> Completion? {
        while let completion = ring.tryConsumeCompletion() {
            let slot = Int(completion.context)
            if let ended = end(slot, completion.result) { return ended }
        }
        return nil
    }

    /// Nil where the transfer goes on.
    private func end(_ slot: Int, _ result: Int32) -> Completion? {
        guard var transfer = transfers[slot] else { return nil }
        if result < 0 {
            let error = Errno(rawValue: -result)
            if error == .interrupted || error == .resourceTemporarilyUnavailable {
                prepare(slot)
                return nil
            }
            transfers[slot] = nil
            return Completion(slot: slot, result: .failure(error))
        }
        transfer.done += Int(result)
        if result > 0, transfer.done < transfer.count {
            transfers[slot] = transfer
            prepare(slot)
            return nil
        }
        transfers[slot] = nil
        return Completion(slot: slot, result: .success(transfer.done))
    }

    private func prepare(_ slot: Int) {
        guard let transfer = transfers[slot] else { return }
        let context = UInt64(slot)
        let request: IORing.Request
        if transfer.done == 0, transfer.count == buffers[slot].count {
            let buffer = registered[slot]
            request =
                transfer.direction == .read
                ? .read(file, into: buffer, at: transfer.offset, context: context)
                : .write(buffer, into: file, at: transfer.offset, context: context)
        } else {
            // A part, which a registered buffer cannot be told: of a shorter block, or the rest where
            // the kernel moved only some of it.
            let rest = UnsafeMutableRawBufferPointer(
                rebasing: buffers[slot][transfer.done..<transfer.count])
            let offset = transfer.offset + UInt64(transfer.done)
            request =
                transfer.direction == .read
                ? .read(file, into: rest, at: offset, context: context)
                : .write(rest, into: file, at: offset, context: context)
        }
        // As many entries as buffers, each of which has at most one request.
        let hasRoom = ring.prepare(request: request)
        precondition(hasRoom, "the ring has fewer entries than buffers")
    }

    /// Sleeps until the kernel has put something into the ring. Signals that end a run are held by
    /// its owner, who looks for them between transfers.
    private static func wait(for event: borrowing OwnedDescriptor) throws(Errno) {
        while true {
            var count: UInt64 = 0
            let size = MemoryLayout.size(ofValue: count)
            if Glibc.read(event.raw.rawValue, &count, size) == size { return }
            guard errno == EINTR else { throw Errno(rawValue: errno) }
        }
    }
}
