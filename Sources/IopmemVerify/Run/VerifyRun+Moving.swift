// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// Blocks on their way to the target and back.
extension VerifyRun {
    /// Moves blocks, as many at once as there are buffers.
    ///
    /// - Parameters:
    ///   - limit: no more blocks than these.
    ///   - stopsInTime: whether `runtime` ends it.
    ///   - next: what is moved next; nil for no more.
    ///   - body: told of each block that has been moved, while its buffer is still its own.
    /// - Returns: how many were moved.
    func pass(
        _ phase: Progress.Phase, limit: UInt64 = .max, stopsInTime: Bool = false,
        next: () -> FioHeader?,
        _ body: (_ slot: Int, _ header: FioHeader) throws -> Void = { _, _ in }
    ) throws -> UInt64 {
        var count: UInt64 = 0
        while count < limit {
            if free.isEmpty { try finish(phase, body) }
            if stopsInTime && isOver { break }
            guard let header = next() else { break }
            // The order in which two that are under way end is nobody's.
            while workload.repeats && phase == .write && overlaps(header) {
                try finish(phase, body)
            }
            if isThrottled { try throttle(phase, Int(header.length), body) }
            let slot = free.removeLast()
            if phase == .write { fill(slot, header) }
            now = Monotonic.nanoseconds()
            pending[slot] = Transfer(header: header, begun: now)
            queue.begin(
                phase == .write ? .write : .read, slot: slot, count: Int(header.length),
                at: header.offset)
            count += 1
        }
        while free.count < queue.buffers.count { try finish(phase, body) }
        tell(phase)
        return count
    }

    /// Waits for one of those that are under way.
    func finish(
        _ phase: Progress.Phase, _ body: (_ slot: Int, _ header: FioHeader) throws -> Void
    ) throws {
        let (slot, failure) = queue.next()
        free.append(slot)
        guard let transfer = pending[slot] else { return }
        let header = transfer.header
        pending[slot] = nil
        if let failure {
            throw Interruption.failure(phase == .write ? .write : .read, at: header.offset, failure)
        }
        let ended = Monotonic.nanoseconds()
        if isRamping { endRamp(ended) }
        result.count(
            phase, bytes: UInt64(header.length), at: header.offset, latency: ended - transfer.begun,
            time: ended - begun, isMeasured: !isRamping)
        try body(slot, header)
        if result.transfers.isMultiple(of: Self.stride) || ended - told > Self.patience {
            told = ended
            tell(phase)
            if let signal = environment.pendingSignal() { throw Interruption.signal(signal) }
        }
    }

    /// Whether a block that is under way covers part of this one.
    private func overlaps(_ header: FioHeader) -> Bool {
        pending.contains { transfer in
            guard let other = transfer?.header else { return false }
            return other.offset < header.offset + UInt64(header.length)
                && header.offset < other.offset + UInt64(other.length)
        }
    }

    var isThrottled: Bool { writeThrottle != nil || readThrottle != nil }

    /// Waits as long as the rate asks for.
    private func throttle(
        _ phase: Progress.Phase, _ bytes: Int, _ body: (Int, FioHeader) throws -> Void
    ) throws {
        let place = phase == .write ? \VerifyRun.writeThrottle : \VerifyRun.readThrottle
        guard var throttle = self[keyPath: place] else { return }
        var wait = throttle.delay(bytes: bytes, now: ContinuousClock.now)
        self[keyPath: place] = throttle
        while wait > .zero {
            // What has ended is not kept waiting for its checks.
            if free.count < queue.buffers.count { try finish(phase, body) }
            if let signal = environment.pendingSignal() { throw Interruption.signal(signal) }
            let slice = min(wait, .milliseconds(50))
            Pause.sleep(slice)
            wait -= slice
        }
        if free.isEmpty { try finish(phase, body) }
    }
}
