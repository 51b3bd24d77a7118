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
    private static let stride: UInt64 = 64
    private static let patience: UInt64 = 100_000_000

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
    private struct Transfer {
        let header: FioHeader
        let begun: UInt64
    }

    private let workload: Workload
    private let target: String
    private let queue: any TransferQueue
    private let environment: Environment
    private let ledger: (any Ledger)?
    /// The time that the headers carry.
    private let stamp: (seconds: UInt32, nanoseconds: UInt32)
    /// Buffers with nothing to do.
    private var free: [Int]
    /// What is under way in the others.
    private var pending: [Transfer?]
    private var writeThrottle: Throttle?
    private var readThrottle: Throttle?
    private var result: WorkloadResult
    /// All times are nanoseconds of the monotonic clock.
    private var begun: UInt64 = 0
    /// When the last block was begun.
    private var now: UInt64 = 0
    /// When what is measured began, in this phase.
    private var phaseBegun: UInt64 = 0
    private var isRamping = false
    /// When somebody was last told how far it is.
    private var told: UInt64 = 0

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

    /// Checks what an interrupted run had promised and says what became of it.
    func checkPromises(
        _ record: VerifyState.Record
    ) throws(IopmemError) -> (WorkloadResult, PromiseOutcome) {
        var outcome = PromiseOutcome()
        let result = try run { outcome = try check(record) }
        return (result, outcome)
    }

    private func run(_ body: () throws -> Void) throws(IopmemError) -> WorkloadResult {
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
    private func verify(from start: BlockSequence, count: UInt64) throws {
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

    // MARK: Promises

    private func check(_ record: VerifyState.Record) throws -> PromiseOutcome {
        var outcome = PromiseOutcome()
        outcome.loop = record.loop
        var before: BlockSequence?
        var sequence = BlockSequence(workload, stamp: stamp)
        for _ in 0..<record.loop {
            before = sequence
            while sequence.next() != nil {}
            sequence = sequence.following()
        }
        let bad = result.blocksBad
        try verify(from: sequence, count: record.promised)
        outcome.promised = record.promised

        for _ in 0..<record.promised { _ = sequence.next() }
        var window: [FioHeader] = []
        for _ in record.promised..<max(record.announced, record.promised) {
            if let header = sequence.next() { window.append(header) }
        }
        let order = BlockSequence.order(of: workload, loop: record.loop)
        let length = UInt64(workload.blockSize)
        func position(_ header: FioHeader) -> UInt64 {
            order.position(of: (header.offset - workload.offset) / length)
        }
        var older: [UInt64: FioHeader] = [:]
        if var before {
            // What this loop had not come to holds what the one before left there.
            try measuring(.verify) {
                outcome.promised += try pass(
                    .verify,
                    next: {
                        while let header = before.next() {
                            let place = position(header)
                            if place >= record.announced { return header }
                            if place >= record.promised { older[header.offset] = header }
                        }
                        return nil
                    }
                ) { try check($0, $1, knowing: true) }
            }
        } else {
            outcome.unpromised =
                (workload.blockCount ?? 0) - min(record.announced, workload.blockCount ?? 0)
        }
        outcome.broken = result.blocksBad - bad
        outcome.kept = outcome.promised - min(outcome.broken, outcome.promised)
        var headers = window.makeIterator()
        try measuring(.verify) {
            outcome.window = try pass(.verify, next: { headers.next() }) { slot, header in
                judge(slot, header, older: older[header.offset], &outcome)
            }
        }
        return outcome
    }

    /// A block that was being written is the new one, or what was there before.
    private func judge(
        _ slot: Int, _ header: FioHeader, older: FioHeader?, _ outcome: inout PromiseOutcome
    ) {
        let unit = workload.headerUnit
        let count = Int(header.length) / unit
        var isNew = 0
        var isOld = 0
        for index in 0..<count {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: queue.buffers[slot][(index * unit)...][..<((index + 1) * unit)])
            let bytes = UnsafeRawBufferPointer(part)
            let right = header.block(index, length: unit)
            workload.format.swapHeader(
                in: part, size: workload.format.headerSize(onDevice: bytes, right.method))
            if BlockCheck.isRight(bytes, .header(right)) {
                isNew += 1
            } else if let older {
                if BlockCheck.isRight(bytes, .header(older.block(index, length: unit))) {
                    isOld += 1
                }
            } else if !BlockCheck.hasPart(of: right, in: bytes) {
                isOld += 1
            }
        }
        if isNew == count {
            outcome.windowNew += 1
            result.verified(at: header.offset, bytes: UInt64(header.length))
        } else if isOld == count {
            outcome.windowOld += 1
            if older != nil { result.verified(at: header.offset, bytes: UInt64(header.length)) }
        } else {
            outcome.windowTorn += 1
            result.bad(at: header.offset, bytes: UInt64(header.length))
            guard result.mismatches.count < Self.maximumMismatches else { return }
            result.mismatches.append(
                Mismatch(
                    offset: header.offset, length: UInt64(header.length), kind: .torn,
                    expected: "all of the block that was being written, or all of the one before",
                    got: "some of each"))
        }
    }

    // MARK: Moving blocks

    /// Moves blocks, as many at once as there are buffers.
    ///
    /// - Parameters:
    ///   - limit: no more blocks than these.
    ///   - stopsInTime: whether `runtime` ends it.
    ///   - next: what is moved next; nil for no more.
    ///   - body: told of each block that has been moved, while its buffer is still its own.
    /// - Returns: how many were moved.
    private func pass(
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
    private func finish(
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

    private var isThrottled: Bool { writeThrottle != nil || readThrottle != nil }

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

    /// Makes an I/O: a header in each interval.
    private func fill(_ slot: Int, _ header: FioHeader) {
        let unit = workload.headerUnit
        let block = queue.buffers[slot]
        for index in 0..<(Int(header.length) / unit) {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: block[(index * unit)...][..<((index + 1) * unit)])
            header.block(index, length: unit).writeBlock(part)
            workload.format.swapHeader(
                in: part, size: workload.format.headerSize(header.method))
        }
    }

    /// Looks at an I/O, header by header.
    private func check(_ slot: Int, _ header: FioHeader, knowing: Bool) throws {
        let unit = workload.headerUnit
        let block = queue.buffers[slot]
        for index in 0..<(Int(header.length) / unit) {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: block[(index * unit)...][..<((index + 1) * unit)])
            let right = header.block(index, length: unit)
            // Without headers there is nothing to be known but what the pattern says.
            let isKnown = knowing || !right.method.hasHeader
            try check(
                part,
                isKnown
                    ? .header(right)
                    : .place(
                        offset: right.offset, length: right.length, pattern: right.pattern,
                        position: right.position),
                right.method)
        }
    }

    private func check(
        _ part: UnsafeMutableRawBufferPointer, _ expected: BlockCheck.Expectation,
        _ method: VerifyMethod
    ) throws {
        let bytes = UnsafeRawBufferPointer(part)
        let headerSize =
            expected.header == nil
            ? workload.format.headerSize(onDevice: bytes, method)
            : workload.format.headerSize(method)
        workload.format.swapHeader(in: part, size: headerSize)
        if method.hasHeader, let chosen = workload.format.method, expected.header == nil {
            try refuseOtherMethod(bytes, chosen)
        }
        guard !BlockCheck.isRight(bytes, expected) else {
            result.verified(at: expected.offset, bytes: UInt64(bytes.count))
            return
        }
        if result.blocksVerified + result.blocksBad == 0, method.hasHeader {
            try refuseOtherFormat(bytes)
        }
        result.bad(at: expected.offset, bytes: UInt64(bytes.count))
        let room = Self.maximumMismatches - result.mismatches.count
        if room > 0 {
            result.mismatches += BlockCheck.diagnose(bytes, expected).prefix(room).map { mismatch in
                var mismatch = mismatch
                let start = Int(mismatch.offset - expected.offset)
                mismatch.offset =
                    expected.offset
                    + UInt64(workload.format.placeOnDevice(of: start, headerSize: headerSize))
                return mismatch
            }
        }
        if workload.stopsAtFirst { throw Interruption.wrongBlock(at: expected.offset) }
    }

    /// Somebody who asks for one digest is not told that another one fits.
    private func refuseOtherMethod(
        _ bytes: UnsafeRawBufferPointer, _ chosen: VerifyMethod
    ) throws(IopmemError) {
        guard result.blocksVerified + result.blocksBad == 0, let header = try? FioHeader(bytes),
            header.method != chosen
        else { return }
        throw IopmemError(
            .usage,
            "\(target): its blocks carry \(header.method.rawValue), not \(chosen.rawValue)",
            remedy: "use --verify \(header.method.rawValue), or leave it out")
    }

    /// A first block that is sound but was written with other options says that
    /// the options are wrong, not the data.
    private func refuseOtherFormat(_ bytes: UnsafeRawBufferPointer) throws(IopmemError) {
        switch Result(catching: { () throws(FioHeader.Damage) in try FioHeader(bytes) }) {
        case .success(let header) where header.length != UInt32(bytes.count):
            let size = ByteSize.exact(UInt64(header.length))
            throw IopmemError(
                .usage,
                "\(target): its blocks are \(header.length) bytes long, not \(bytes.count)",
                remedy: Int(header.length) < workload.blockSize
                    ? "use --verify-interval \(size), or --bs \(size)" : "use --bs \(size)")
        case .failure(.verifyType(let type)):
            let names = VerifyMethod.allCases.filter(\.hasHeader).map(\.rawValue)
                .joined(separator: ", ")
            throw IopmemError(
                .unsupported,
                "\(target): its blocks carry fio's verify type \(type); this tool reads \(names)",
                remedy: "verify them with fio, or write them with one of these")
        default:
            return
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
    private var isOver: Bool {
        guard let runtime = workload.pace.runtime else { return false }
        return now - begun >= Monotonic.nanoseconds(of: workload.pace.ramp + runtime)
    }

    private func endRamp(_ now: UInt64) {
        guard now - begun >= Monotonic.nanoseconds(of: workload.pace.ramp) else { return }
        isRamping = false
        result.write = WorkloadResult.Measure()
        result.read = WorkloadResult.Measure()
        phaseBegun = now
    }

    private func tell(_ phase: Progress.Phase) {
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

    private func measuring<Result>(
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
