// SPDX-License-Identifier: GPL-2.0
public import Iopmem
public import IopmemSystem
import SystemPackage

/// One job: writes blocks, reads them back, and says what it found.
///
/// Memory is bounded: the blocks that are under way, one more where a wrong one is looked at, and the
/// mismatches that are kept. What each block must hold is made again from the workload, not
/// remembered; only where blocks repeat, what was last written to a part of them is.
public final class VerifyRun {
    /// At most so many mismatches are kept; all wrong blocks are counted.
    static let maximumMismatches = 1000
    /// So many blocks, or nanoseconds, go by between two looks at the signals.
    static let stride: UInt64 = 64
    static let patience: UInt64 = 100_000_000

    /// How far a run is, for somebody who watches.
    public struct Progress: Sendable {
        /// What is being done now.
        public enum Phase: String, Sendable { case write, verify }
        /// What is being done now.
        public var phase: Phase
        /// Bytes that were moved since the run began, both ways.
        public var done: UInt64
        /// How much of the whole that is, from 0 to 1.
        public var fraction: Double
        /// Blocks that were wrong.
        public var blocksBad: UInt64
    }

    /// What a run asks the outside world, now and then.
    public struct Environment {
        /// A signal that wants the run to end.
        public var pendingSignal: () -> Int32?
        /// Told how far it is.
        public var progress: (Progress) -> Void

        /// Nobody watches and nobody interrupts, unless given.
        public init(
            pendingSignal: @escaping () -> Int32? = { nil },
            progress: @escaping (Progress) -> Void = { _ in }
        ) {
            self.pendingSignal = pendingSignal
            self.progress = progress
        }
    }

    /// What is under way in a buffer.
    struct Transfer {
        let header: FioHeader
        let begun: UInt64
    }

    let workload: Workload
    let target: String
    let queue: any TransferQueue
    let environment: Environment
    private let ledger: (any Ledger)?
    /// The time that the headers carry.
    let stamp: (seconds: UInt32, nanoseconds: UInt32)
    /// Buffers with nothing to do.
    var free: [Int]
    /// What is under way in the others.
    var pending: [Transfer?]
    var writeThrottle: Throttle?
    var readThrottle: Throttle?
    var result: WorkloadResult
    /// All times are nanoseconds of the monotonic clock.
    var begun: UInt64 = 0
    /// When the last block was begun.
    var now: UInt64 = 0
    /// When what is measured began, in this phase.
    private var phaseBegun: UInt64 = 0
    var isRamping = false
    /// When somebody was last told how far it is.
    var told: UInt64 = 0

    /// A run over an open file.
    ///
    /// - Parameters:
    ///   - workload: validated.
    ///   - file: open as the workload needs it: for writing, with O_DIRECT.
    public convenience init(
        _ workload: Workload, on file: OpenFile, environment: Environment = Environment()
    ) throws(IopmemError) {
        try self.init(workload, on: file, environment: environment, ledger: nil)
    }

    /// The same.
    ///
    /// - Parameters:
    ///   - ledger: told of what is written and durable.
    ///   - stamp: the time that the headers carry; nil for now.
    ///   - memory: how the file is mapped, where it is memory itself; else nil.
    convenience init(
        _ workload: Workload, on file: OpenFile, environment: Environment,
        ledger: (any Ledger)? = nil, stamp: (seconds: UInt32, nanoseconds: UInt32)? = nil,
        memory: MemoryNode? = nil
    ) throws(IopmemError) {
        let queue: any TransferQueue
        switch workload.engine {
        case .psync:
            queue = SerialQueue(PsyncEngine(file), blockSize: workload.blockSize)
        case .mmap:
            do throws(Errno) {
                let engine = try MmapEngine(
                    file, range: workload.offset..<(workload.offset + workload.size),
                    writable: workload.writes, memory: memory)
                queue = SerialQueue(engine, blockSize: workload.blockSize)
            } catch {
                throw IopmemError(error, "cannot map \(file.path)")
            }
        case .ioUring:
            do throws(Errno) {
                queue = try RingQueue(
                    file, blockSize: workload.blockSize, depth: workload.depth)
            } catch {
                throw Self.noRing(error, workload)
            }
        }
        self.init(
            workload, target: file.path, queue: queue, environment: environment, ledger: ledger,
            stamp: stamp)
    }

    init(
        _ workload: Workload, target: String, queue: any TransferQueue,
        environment: Environment = Environment(), ledger: (any Ledger)? = nil,
        stamp: (seconds: UInt32, nanoseconds: UInt32)? = nil
    ) {
        self.stamp = stamp ?? Self.timestamp()
        self.workload = workload
        self.target = target
        self.queue = queue
        self.environment = environment
        self.ledger = ledger
        result = WorkloadResult(offset: workload.offset, size: workload.size)
        free = Array(queue.buffers.indices.reversed())
        pending = [Transfer?](repeating: nil, count: queue.buffers.count)
        let (rate, iops) = (workload.pace.rate, workload.pace.rateIOPS)
        writeThrottle = Throttle(bytesPerSecond: rate.write, transfersPerSecond: iops.write)
        readThrottle = Throttle(bytesPerSecond: rate.read, transfersPerSecond: iops.read)
    }

    private static func noRing(_ error: Errno, _ workload: Workload) -> IopmemError {
        let remedy: String? =
            switch error {
            case .notPermitted, .noFunction, .notSupported:
                "allow it (sysctl kernel.io_uring_disabled=0), or use --ioengine psync"
            case .noMemory:
                "lock more memory (ulimit -l), or give a smaller --iodepth or --bs"
            default: nil
            }
        return IopmemError(
            error, "cannot make an io_uring for \(workload.depth) blocks", remedy: remedy)
    }

    /// Does the work. An I/O error or a signal ends it early and stands in the
    /// result, beside everything that was found until then.
    ///
    /// Throws only if the target does not hold such blocks at all, or the ledger cannot be kept.
    public func run() throws(IopmemError) -> WorkloadResult {
        try run { try loops() }
    }

    func run(_ body: () throws -> Void) throws(IopmemError) -> WorkloadResult {
        // What is under way has buffers of ours.
        defer { while free.count < queue.buffers.count { free.append(queue.next().slot) } }
        let usage = ProcessorTime.ofThread()
        begun = Monotonic.nanoseconds()
        now = begun
        told = begun
        isRamping = workload.pace.ramp > .zero
        do {
            try body()
        } catch let error as Interruption {
            result.interruption = error
        } catch let error as IopmemError {
            throw error
        } catch {
            throw IopmemError(.failed, "\(error)")
        }
        result.elapsed = Monotonic.nanoseconds() - begun
        result.processor = ProcessorTime.ofThread() - usage
        return result
    }

    private func loops() throws {
        var sequence = BlockSequence(workload, stamp: stamp)
        let pace = workload.pace
        repeat {
            if workload.writes {
                try writeAndVerify(&sequence)
            } else {
                try measuring(.verify) {
                    _ = try pass(.verify, stopsInTime: true, next: { sequence.next() }) {
                        try check($0, $1, knowing: false)
                    }
                }
            }
            sequence = sequence.following()
        } while !isOver && (pace.isTimeBased || sequence.loop < UInt64(pace.loops))
    }

    /// One loop: all is written, and then all that was written is verified.
    private func writeAndVerify(_ sequence: inout BlockSequence) throws {
        let start = sequence
        let backlog = workload.backlog ?? (workload.pattern.isMixed ? Self.stride : nil)
        // Where blocks repeat, what waits may have been written over by what came later.
        let batch = workload.repeats ? backlog : workload.backlogBatch ?? backlog
        var unverified = sequence
        var waiting: UInt64 = 0
        var untilSync = workload.syncEvery ?? .max
        while true {
            let step = min(untilSync, backlog.map { $0 - waiting } ?? .max)
            try ledger?.announce(loop: sequence.loop, step: step)
            let count = try measuring(.write) {
                try pass(.write, limit: step, stopsInTime: true, next: { sequence.next() })
            }
            waiting += count
            if untilSync < .max { untilSync -= count }
            if untilSync == 0 {
                try measuring(.write) { try flush(queue.sync) }
                try ledger?.promise(loop: sequence.loop, position: sequence.position)
                untilSync = workload.syncEvery ?? .max
            }
            let isEnd = count < step || sequence.isAtEnd
            if let backlog, let batch, waiting == backlog || isEnd, waiting > 0 {
                let verified = isEnd ? waiting : min(batch, waiting)
                try verify(from: unverified, count: verified)
                for _ in 0..<verified { _ = unverified.next() }
                waiting -= verified
            }
            if isEnd { break }
        }
        try measuring(.write) { try flush(queue.settle) }
        try ledger?.promise(loop: sequence.loop, position: sequence.position)
        try verify(from: start, count: sequence.position)
    }

    /// Reads back what so many headers of a sequence have written.
    func verify(from start: BlockSequence, count: UInt64) throws {
        guard workload.repeats else {
            var again = start
            try measuring(.verify) {
                _ = try pass(.verify, limit: count, next: { again.next() }) {
                    try check($0, $1, knowing: true)
                }
            }
            return
        }
        let units = LatestWrites.units(of: workload)
        for first in Swift.stride(from: 0, to: units, by: Int(LatestWrites.window)) {
            var latest = LatestWrites(
                workload, range: first..<min(first + LatestWrites.window, units))
            var again = start
            for index in 0..<count {
                if let header = again.next() { latest.add(header) }
                if index.isMultiple(of: 1 << 20), let signal = environment.pendingSignal() {
                    throw Interruption.signal(signal)
                }
            }
            var headers = latest.headers().makeIterator()
            try measuring(.verify) {
                _ = try pass(.verify, next: { headers.next() }) {
                    try check($0, $1, knowing: true)
                }
            }
        }
    }

    private func flush(_ body: () throws(Errno) -> Void) throws(Interruption) {
        do throws(Errno) {
            try body()
        } catch {
            throw .failure(.flush, at: workload.offset, .errno(error))
        }
    }

    /// Whether the time is up.
    var isOver: Bool {
        guard let runtime = workload.pace.runtime else { return false }
        return now - begun >= Monotonic.nanoseconds(of: workload.pace.ramp + runtime)
    }

    func endRamp(_ now: UInt64) {
        guard now - begun >= Monotonic.nanoseconds(of: workload.pace.ramp) else { return }
        isRamping = false
        result.write = WorkloadResult.Measure()
        result.read = WorkloadResult.Measure()
        phaseBegun = now
    }

    func tell(_ phase: Progress.Phase) {
        environment.progress(
            Progress(
                phase: phase, done: result.bytesMoved, fraction: fraction,
                blocksBad: result.blocksBad))
    }

    private var fraction: Double {
        let pace = workload.pace
        if pace.isTimeBased, let runtime = pace.runtime {
            let whole = Monotonic.nanoseconds(of: pace.ramp + runtime)
            return min(Double(now - begun) / Double(max(whole, 1)), 1)
        }
        let isTwice = workload.pattern.isMixed || workload.backlog != nil
        let passes = !workload.writes ? 1.0 : isTwice ? 3 : 2
        let whole = Double(workload.size) * Double(workload.loops) * passes
        return min(Double(result.bytesMoved) / max(whole, 1), 1)
    }

    func measuring<Result>(
        _ phase: Progress.Phase, _ body: () throws -> Result
    ) rethrows -> Result {
        phaseBegun = Monotonic.nanoseconds()
        defer {
            if !isRamping { result.add(phase, time: Monotonic.nanoseconds() - phaseBegun) }
        }
        return try body()
    }

    /// The wall clock, as the headers carry it.
    private static func timestamp() -> (seconds: UInt32, nanoseconds: UInt32) {
        let now = Timestamp.now()
        return (UInt32(truncatingIfNeeded: now.seconds), now.nanoseconds)
    }
}
