// SPDX-License-Identifier: GPL-2.0
public import Iopmem
public import IopmemSystem
import SystemPackage

/// One run of a workload: writes blocks, reads them back, and says what it found.
///
/// Memory is bounded: the blocks that are under way, one more where a wrong one is looked at, and the
/// mismatches that are kept. What each block must hold is made again from the workload, not
/// remembered.
public final class VerifyRun {
    /// At most so many mismatches are kept; all wrong blocks are counted.
    static let maximumMismatches = 1000
    /// So many blocks go by between two looks at the clock and the signals.
    private static let stride: UInt64 = 64

    /// How far a run is, for somebody who watches.
    public struct Progress: Sendable {
        /// What is being done now.
        public enum Phase: String, Sendable { case write, verify }
        /// What is being done now.
        public let phase: Phase
        /// Bytes that this phase has done.
        public let done: UInt64
        /// Bytes that it will do.
        public let total: UInt64
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

    private let workload: Workload
    private let target: String
    private let queue: any TransferQueue
    private let environment: Environment
    /// Buffers with nothing to do.
    private var free: [Int]
    /// What is under way in the others.
    private var pending: [FioHeader?]
    private var result = WorkloadResult()

    /// A run over an open file.
    ///
    /// - Parameters:
    ///   - workload: validated.
    ///   - file: open as the workload needs it: for writing, with O_DIRECT.
    public convenience init(
        _ workload: Workload, on file: OpenFile, environment: Environment = Environment()
    ) throws(IopmemError) {
        let queue: any TransferQueue
        switch workload.engine {
        case .psync:
            queue = SerialQueue(PsyncEngine(file), blockSize: workload.blockSize)
        case .mmap:
            do throws(Errno) {
                let engine = try MmapEngine(
                    file, range: workload.offset..<(workload.offset + workload.size),
                    writable: workload.writes)
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
        self.init(workload, target: file.path, queue: queue, environment: environment)
    }

    init(
        _ workload: Workload, target: String, queue: any TransferQueue,
        environment: Environment = Environment()
    ) {
        self.workload = workload
        self.target = target
        self.queue = queue
        self.environment = environment
        free = Array(queue.buffers.indices.reversed())
        pending = [FioHeader?](repeating: nil, count: queue.buffers.count)
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
    /// Throws only if the target does not hold such blocks at all.
    public func run() throws(IopmemError) -> WorkloadResult {
        // What is under way has buffers of ours.
        defer { while free.count < queue.buffers.count { free.append(queue.next().slot) } }
        do {
            try loops()
        } catch let error as Interruption {
            result.interruption = error
        } catch let error as IopmemError {
            throw error
        } catch {
            throw IopmemError(.failed, "\(error)")
        }
        return result
    }

    private func loops() throws {
        var sequence = BlockSequence(workload, stamp: Self.timestamp())
        for _ in 0..<workload.loops {
            guard workload.writes else {
                try verify(&sequence, from: 0, count: workload.blockCount, knowing: false)
                sequence = sequence.following()
                continue
            }
            var again = sequence
            try workload.pattern.isMixed ? mixed(&sequence) : write(&sequence, from: 0)
            try measuring(\.write) { try settle() }
            try verify(&again, from: 0, count: workload.blockCount, knowing: true)
            sequence = sequence.following()
        }
    }

    /// Half writes and half reads: each chunk is read back before the next.
    private func mixed(_ sequence: inout BlockSequence) throws {
        let chunk = Self.stride
        for start in Swift.stride(from: 0, to: workload.blockCount, by: Int(chunk)) {
            var again = sequence
            let count = min(chunk, workload.blockCount - start)
            try write(&sequence, from: start, count: count)
            try verify(&again, from: start, count: count, knowing: true)
        }
    }

    private func write(
        _ sequence: inout BlockSequence, from start: UInt64, count: UInt64? = nil
    ) throws {
        try measuring(\.write) {
            let count = count ?? workload.blockCount
            try pass(.write, &sequence, from: start, count: count) { _, _ in }
        }
    }

    /// - Parameter knowing: whether this run wrote the blocks, so that an older
    ///   one is told from the right one.
    private func verify(
        _ sequence: inout BlockSequence, from start: UInt64, count: UInt64, knowing: Bool
    ) throws {
        try measuring(\.read) {
            try pass(.verify, &sequence, from: start, count: count) { slot, header throws in
                try check(slot, header, knowing: knowing)
            }
        }
    }

    /// Moves so many blocks, as many at once as there are buffers.
    ///
    /// - Parameter body: told of each block that has been moved, while its buffer is still its own.
    private func pass(
        _ phase: Progress.Phase, _ sequence: inout BlockSequence, from start: UInt64, count: UInt64,
        _ body: (_ slot: Int, _ header: FioHeader) throws -> Void
    ) throws {
        var done = start
        func finishOne() throws {
            try finish(phase, body)
            try pause(phase, done)
            done += 1
        }
        for _ in 0..<count {
            guard let header = sequence.next() else { break }
            if free.isEmpty { try finishOne() }
            let slot = free.removeLast()
            pending[slot] = header
            if phase == .write { fill(slot, header) }
            queue.begin(phase == .write ? .write : .read, slot: slot, at: header.offset)
        }
        while free.count < queue.buffers.count { try finishOne() }
    }

    /// Waits for one of those that are under way.
    private func finish(
        _ phase: Progress.Phase, _ body: (_ slot: Int, _ header: FioHeader) throws -> Void
    ) throws {
        let (slot, failure) = queue.next()
        free.append(slot)
        guard let header = pending[slot] else { return }
        pending[slot] = nil
        if let failure {
            throw Interruption.failure(phase == .write ? .write : .read, at: header.offset, failure)
        }
        let measure = phase == .write ? \WorkloadResult.write : \WorkloadResult.read
        result[keyPath: measure].transfers += 1
        result[keyPath: measure].bytes += UInt64(workload.blockSize)
        try body(slot, header)
    }

    /// Makes an I/O: a header in each interval.
    private func fill(_ slot: Int, _ header: FioHeader) {
        for (index, part) in parts[slot].enumerated() {
            header.block(index, length: part.count).writeBlock(part)
            workload.format.swapHeader(
                in: part, size: workload.format.headerSize(header.method))
        }
    }

    /// What each header covers, in each buffer.
    private lazy var parts: [[UnsafeMutableRawBufferPointer]] = {
        let unit = workload.format.unit(of: workload.blockSize)
        return queue.buffers.map { block in
            Swift.stride(from: 0, to: block.count, by: unit).map { start in
                UnsafeMutableRawBufferPointer(rebasing: block[start..<(start + unit)])
            }
        }
    }()

    /// Looks at an I/O, header by header.
    private func check(_ slot: Int, _ header: FioHeader, knowing: Bool) throws(IopmemError) {
        for (index, part) in parts[slot].enumerated() {
            let right = header.block(index, length: part.count)
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
    ) throws(IopmemError) {
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
            result.blocksVerified += 1
            result.bytesVerified += UInt64(bytes.count)
            return
        }
        if result.blocksVerified + result.blocksBad == 0, method.hasHeader {
            try refuseOtherFormat(bytes)
        }
        result.blocksBad += 1
        let room = Self.maximumMismatches - result.mismatches.count
        guard room > 0 else { return }
        result.mismatches += BlockCheck.diagnose(bytes, expected).prefix(room).map { mismatch in
            var mismatch = mismatch
            let start = Int(mismatch.offset - expected.offset)
            mismatch.offset =
                expected.offset
                + UInt64(workload.format.placeOnDevice(of: start, headerSize: headerSize))
            return mismatch
        }
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

    private func settle() throws(Interruption) {
        do throws(Errno) {
            try queue.settle()
        } catch {
            throw .failure(.flush, at: workload.offset, .errno(error))
        }
    }

    private func pause(_ phase: Progress.Phase, _ index: UInt64) throws(Interruption) {
        guard (index + 1).isMultiple(of: Self.stride) || index + 1 == workload.blockCount else {
            return
        }
        environment.progress(
            Progress(
                phase: phase, done: (index + 1) * UInt64(workload.blockSize),
                total: workload.size))
        if let signal = environment.pendingSignal() { throw .signal(signal) }
    }

    private func measuring(
        _ direction: WritableKeyPath<WorkloadResult, WorkloadResult.Measure>,
        _ body: () throws -> Void
    ) rethrows {
        let clock = ContinuousClock()
        let start = clock.now
        defer { result[keyPath: direction].time += clock.now - start }
        try body()
    }

    /// The wall clock, as the headers carry it.
    private static func timestamp() -> (seconds: UInt32, nanoseconds: UInt32) {
        let now = Timestamp.now()
        return (UInt32(truncatingIfNeeded: now.seconds), now.nanoseconds)
    }
}
