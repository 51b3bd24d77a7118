// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// Moves data between a peer and a file's mapping by O_DIRECT, with the mapping's
/// own address, and proves that it went there and nowhere else.
///
/// What the file held in that range is lost: peers come before the workload.
struct PeerTransfer {
    /// Bytes of one transfer.
    static let chunk = 4 << 20

    let peer: Peer
    /// The target, open for writing.
    let file: OpenFile
    let window: BarWindow
    /// The bytes of the target that may be used, on page boundaries.
    let range: Range<UInt64>
    let host: any Host
    /// Told when a transfer begins and ends.
    let step: (String) -> Void

    /// Whether the target is the node of the memory itself.
    let isMemory: Bool

    private var check: PlacementCheck {
        PlacementCheck(file: file, window: window, isMemory: isMemory)
    }
    /// Both sides must be able to hold it.
    private var length: UInt64 {
        min(UInt64(range.count), peer.size) / UInt64(peer.unit) * UInt64(peer.unit)
    }

    // MARK: Peer to BAR

    /// Reads the start of the peer into the mapping and compares.
    func readFromPeer() -> PeerResult {
        result(.peerToBAR) { (result) throws(IopmemError) in
            let source = try open(peer.path, .direct)
            let bounces = Bounces(of: peer.function, root: host.root)
            var pages: UInt64 = 0
            var done: UInt64 = 0
            while done < length {
                let count = min(PlacementCheck.span, length - done)
                pages += try readSpan(
                    at: done, count: Int(count), from: source, bounces, &result)
                done += count
            }
            result.uncounted = bounces.ignorance
            result.evidence =
                try evidence(pages, bounces, "into") + "; "
                + "the mapping and read(2) of the file agree with the peer read through RAM"
        }
    }

    private func readSpan(
        at position: UInt64, count: Int, from source: OpenFile, _ bounces: Bounces,
        _ result: inout PeerResult
    ) throws(IopmemError) -> UInt64 {
        let mapping = try map(range.lowerBound + position, count)
        // What is there before must not be mistaken for what should come, so it
        // is made of a seed that nobody has used before.
        let poison = UInt64.random(in: .min ... .max) | 1
        let buffer = AlignedBuffer(size: min(Self.chunk, count))
        try eachChunk(count) { at, size throws(IopmemError) in
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<size])
            Payload.fill(part, seed: poison &+ UInt64(at))
            try mapped { () throws(Errno) in
                try mapping.copyIn(UnsafeRawBufferPointer(part), at: at)
            }
        }
        try mapped { () throws(Errno) in try mapping.sync() }
        let pages = try framesInBar(mapping)

        step("\(peer.path) -> \(file.path): \(count) bytes by O_DIRECT into the mapping: begin")
        try eachChunk(count) { at, size throws(IopmemError) in
            let part = UnsafeMutableRawBufferPointer(rebasing: mapping.bytes[at..<(at + size)])
            let begun = Monotonic.nanoseconds()
            try bounces.during { () throws(IopmemError) in
                try fill(part, from: source, at: position + UInt64(at))
            }
            result.time += Monotonic.nanoseconds() - begun
            result.bytes += UInt64(size)
        }
        step("\(peer.path) -> \(file.path): end")
        _ = try framesInBar(mapping)
        try compare(mapping, count, at: position, with: source, poison: poison)
        return pages
    }

    private func compare(
        _ mapping: FileMapping, _ count: Int, at position: UInt64, with source: OpenFile,
        poison: UInt64
    ) throws(IopmemError) {
        let expected = AlignedBuffer(size: min(Self.chunk, count))
        let seen = AlignedBuffer(size: min(Self.chunk, count))
        try eachChunk(count) { at, size throws(IopmemError) in
            let right = UnsafeMutableRawBufferPointer(rebasing: expected.bytes[..<size])
            let view = UnsafeMutableRawBufferPointer(rebasing: seen.bytes[..<size])
            try fill(right, from: source, at: position + UInt64(at))
            try mapped { () throws(Errno) in try mapping.copyOut(at: at, into: view) }
            if let wrong = Self.firstDifference(right, view) {
                throw wrongData(
                    "the mapping", wrong, position + UInt64(at), view,
                    poison: poison &+ UInt64(at))
            }
            do throws(Errno) {
                try file.read(into: view, at: mapping.fileOffset + UInt64(at))
            } catch {
                throw IopmemError(error, "cannot read \(file.path)")
            }
            if let wrong = Self.firstDifference(right, view) {
                throw wrongData(
                    "read(2) of the file", wrong, position + UInt64(at), view,
                    poison: poison &+ UInt64(at))
            }
        }
    }

    private func wrongData(
        _ view: String, _ index: Int, _ position: UInt64, _ bytes: UnsafeMutableRawBufferPointer,
        poison: UInt64
    ) -> IopmemError {
        let old = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { old.deallocate() }
        Payload.fill(old, seed: poison)
        let stale = bytes[index] == old[index] ? "; it still holds what was there before" : ""
        return IopmemError(
            .verification,
            "\(view) differs from the peer at byte \(position + UInt64(index))\(stale)",
            remedy: "make sure that nobody writes to the peer meanwhile, and try again")
    }

    // MARK: BAR to peer

    /// Writes from the mapping to the middle of the peer, reads it back through
    /// RAM, and puts back what was there.
    func writeToPeer() -> PeerResult {
        result(.barToPeer) { (result) throws(IopmemError) in
            let drive = try peer.claim(on: host)
            let bounces = Bounces(of: peer.function, root: host.root)
            // Not at the start, where partition tables and file systems begin:
            // a machine that dies now can put nothing back.
            let unit = UInt64(max(peer.unit, 1 << 20))
            let start = (peer.size - length) / 2 / unit * unit
            var pages: UInt64 = 0
            var done: UInt64 = 0
            while done < length {
                if let signal = host.pendingSignal() {
                    throw IopmemError(.interrupted, "interrupted", signal: signal)
                }
                let count = Int(min(UInt64(Self.chunk), length - done))
                pages += try writeChunk(
                    from: range.lowerBound + done, to: start + done, count, drive, bounces, &result)
                done += UInt64(count)
            }
            result.uncounted = bounces.ignorance
            result.evidence =
                try evidence(pages, bounces, "from") + "; "
                + "the peer read back through RAM agrees, and has its old contents again"
        }
    }

    private func writeChunk(
        from offset: UInt64, to position: UInt64, _ count: Int, _ drive: OpenFile,
        _ bounces: Bounces, _ result: inout PeerResult
    ) throws(IopmemError) -> UInt64 {
        let mapping = try map(offset, count)
        let saved = AlignedBuffer(size: count)
        let fresh = AlignedBuffer(size: count)
        let seen = AlignedBuffer(size: count)
        Payload.fill(fresh.bytes, seed: UInt64.random(in: .min ... .max) | 1)
        try mapped { () throws(Errno) in
            try mapping.copyIn(UnsafeRawBufferPointer(fresh.bytes), at: 0)
            try mapping.sync()
        }
        let pages = try framesInBar(mapping)
        try fill(saved.bytes, from: drive, at: position)
        do throws(IopmemError) {
            step("\(file.path) -> \(peer.path): \(count) bytes by O_DIRECT from the mapping: begin")
            let begun = Monotonic.nanoseconds()
            try bounces.during { () throws(IopmemError) in
                try moved { () throws(Errno) in
                    try drive.write(UnsafeRawBufferPointer(mapping.bytes), at: position)
                }
            }
            result.time += Monotonic.nanoseconds() - begun
            step("\(file.path) -> \(peer.path): end")
            result.bytes += UInt64(count)
            _ = try framesInBar(mapping)
            try fill(seen.bytes, from: drive, at: position)
        } catch {
            try restore(saved.bytes, at: position, drive)
            throw error
        }
        try restore(saved.bytes, at: position, drive)
        if let wrong = Self.firstDifference(fresh.bytes, seen.bytes) {
            throw IopmemError(
                .verification,
                "the peer holds other data than the mapping at byte \(position + UInt64(wrong))")
        }
        return pages
    }

    /// Puts back what was on the peer, and looks whether it is there. Where that
    /// fails it is at least not lost.
    private func restore(
        _ saved: UnsafeMutableRawBufferPointer, at position: UInt64, _ drive: OpenFile
    ) throws(IopmemError) {
        let seen = AlignedBuffer(size: saved.count)
        var reason = "it reads back differently"
        do throws(Errno) {
            try drive.write(UnsafeRawBufferPointer(saved), at: position)
            try drive.sync()
            try drive.read(into: seen.bytes, at: position)
            if Self.firstDifference(saved, seen.bytes) == nil { return }
        } catch {
            reason = error.description
        }
        let rescue = "/var/tmp/iopmem-\(peer.device.name)-\(position)-\(Timestamp.now().seconds)"
        let kept: ()? = try? OpenFile(rescue, [.write, .create, .exclusive])
            .write(UnsafeRawBufferPointer(saved), at: 0)
        throw IopmemError(
            .failed,
            "\(peer.path) could not be given back its \(saved.count) bytes at offset \(position)",
            because: reason,
            remedy: kept == nil
                ? "they could not be kept in \(rescue) either"
                : "they are in \(rescue): dd if=\(rescue) of=\(peer.path) bs=1M seek=\(position) oflag=seek_bytes"
        )
    }

    // MARK: Common to both

    private func result(
        _ direction: PeerResult.Direction, _ body: (inout PeerResult) throws(IopmemError) -> Void
    ) -> PeerResult {
        var result = PeerResult(peer: peer.path, direction: direction)
        do throws(IopmemError) {
            guard length > 0 else {
                throw IopmemError(
                    .usage, "the tested range holds no whole block of \(peer.unit) bytes",
                    remedy: "give a larger --size")
            }
            try body(&result)
            result.result = .pass
        } catch {
            result.evidence = error.message + (error.remedy.map { "; remedy: \($0)" } ?? "")
            result.failure = error
        }
        return result
    }

    private func eachChunk(
        _ count: Int, _ body: (Int, Int) throws(IopmemError) -> Void
    ) throws(IopmemError) {
        for at in stride(from: 0, to: count, by: Self.chunk) {
            if let signal = host.pendingSignal() {
                throw IopmemError(.interrupted, "interrupted", signal: signal)
            }
            try body(at, min(Self.chunk, count - at))
        }
    }

    /// How many pages the mapping has, all of them proven to be in the BAR.
    private func framesInBar(_ mapping: FileMapping) throws(IopmemError) -> UInt64 {
        let placement = try mapped { () throws(Errno) in
            try check.check(mapping, writable: true)
        }
        guard placement.isDirect else {
            throw IopmemError(
                .verification, "the mapping is not in the BAR", because: placement.stray)
        }
        return placement.pagesChecked
    }

    private func evidence(
        _ pages: UInt64, _ bounces: Bounces, _ preposition: String
    ) throws(IopmemError) -> String {
        let words = try bounces.words()
        return "O_DIRECT by pointer \(preposition) \(pages) pages whose frames are in "
            + "\(window.description) before and after; \(words)"
    }

    private func map(_ offset: UInt64, _ count: Int) throws(IopmemError) -> FileMapping {
        try mapped { () throws(Errno) in
            try FileMapping(file, offset: offset, length: count, writable: true)
        }
    }

    private func open(_ path: String, _ options: OpenFile.Options) throws(IopmemError) -> OpenFile {
        do throws(Errno) {
            return try OpenFile(path, options)
        } catch {
            throw IopmemError(error, "cannot open the peer \(path)")
        }
    }

    private func mapped<T>(_ body: () throws(Errno) -> T) throws(IopmemError) -> T {
        do throws(Errno) {
            return try body()
        } catch {
            throw IopmemError(error, "cannot use the mapping of \(file.path)")
        }
    }

    private func moved(_ body: () throws(Errno) -> Void) throws(IopmemError) {
        do throws(Errno) {
            try body()
        } catch {
            throw Self.refusal(error)
        }
    }

    /// Reads all of `buffer` from a drive. Fewer bytes than that are a failure:
    /// the rest of the buffer must not be taken for the drive's.
    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer, from drive: OpenFile, at position: UInt64
    ) throws(IopmemError) {
        var count = 0
        try moved { () throws(Errno) in count = try drive.read(into: buffer, at: position) }
        guard count == buffer.count else {
            throw IopmemError(
                .failed, "\(peer.path) gave \(count) of \(buffer.count) bytes at \(position)",
                remedy: "see whether the drive is still there: lsblk, dmesg")
        }
    }

    /// What the kernel means when it does not make a transfer.
    static func refusal(_ errno: Errno) -> IopmemError {
        let topology = "see what the machine can do: iopmemctl doctor; and the kernel's log: dmesg"
        let message = "the kernel refused the transfer"
        switch errno {
        case .badAddress:
            return IopmemError(
                .unsupported, message, because: "it cannot pin the mapping's pages (\(errno))",
                remedy: "see that DAX is in effect and the namespace is of mode fsdax")
        case .notSupported, .notSupportedOnSocket, .invalidArgument,
            Errno(rawValue: 121):
            // 121 is EREMOTEIO: pages of another kind than the driver takes.
            return IopmemError(
                .unsupported, message,
                because: "the peer's driver or the topology cannot do it (\(errno))",
                remedy: topology)
        default:
            return IopmemError(
                .failed, "the transfer failed", because: errno.description, remedy: topology)
        }
    }

    /// The first byte that differs, if one does.
    static func firstDifference(
        _ left: UnsafeMutableRawBufferPointer, _ right: UnsafeMutableRawBufferPointer
    ) -> Int? {
        if Memory.areEqual(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right)) {
            return nil
        }
        return left.indices.first { left[$0] != right[$0] }
    }
}
