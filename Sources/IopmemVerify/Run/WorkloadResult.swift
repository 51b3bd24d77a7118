// SPDX-License-Identifier: GPL-2.0
public import Iopmem
public import IopmemSystem
import SystemPackage

/// What a run found, complete or not.
public struct WorkloadResult: Sendable {
    /// What went in one direction, `ramp_time` left out.
    public struct Measure: Sendable {
        /// Bytes moved.
        public var bytes: UInt64 = 0
        /// I/Os.
        public var transfers: UInt64 = 0
        /// How long it took, with making or checking the blocks; in nanoseconds.
        public var time: UInt64 = 0
        /// How long each I/O took.
        public var latency = Latencies()
        /// When how much was moved.
        public var course = Course()

        /// The same in seconds.
        public var seconds: Double { Double(time) / 1e9 }

        /// Nil where it was too short to say.
        public var bytesPerSecond: UInt64? {
            time > 0 ? UInt64(Double(bytes) / seconds) : nil
        }

        /// Together with what another job did at the same time.
        mutating func merge(_ other: Self) {
            bytes += other.bytes
            transfers += other.transfers
            time = max(time, other.time)
            latency.merge(other.latency)
            course.merge(other.course)
        }
    }

    /// Blocks written.
    public var write = Measure()
    /// Blocks read, right or wrong.
    public var read = Measure()
    /// Bytes that were written, measured or not.
    public private(set) var bytesWritten: UInt64 = 0
    /// Bytes that were moved, both ways.
    public private(set) var bytesMoved: UInt64 = 0
    /// I/Os, both ways.
    public private(set) var transfers: UInt64 = 0
    /// Blocks that were read and right.
    public private(set) var blocksVerified: UInt64 = 0
    /// Their bytes.
    public private(set) var bytesVerified: UInt64 = 0
    /// Blocks that were read and wrong.
    public private(set) var blocksBad: UInt64 = 0
    /// What was wrong, the first thousand places.
    public var mismatches: [Mismatch] = []
    /// Which parts of the range were right, wrong, or never looked at.
    public private(set) var map: RegionMap
    /// What ended the run early, if anything.
    public var interruption: Interruption?
    /// Nanoseconds from the beginning to the end.
    public var elapsed: UInt64 = 0
    /// What the processors worked for it in the job's own thread.
    public var processor = ProcessorTime()

    /// Nothing yet.
    ///
    /// - Parameters:
    ///   - offset: where the range begins, in bytes.
    ///   - size: its bytes.
    init(offset: UInt64, size: UInt64) {
        map = RegionMap(offset: offset, size: size)
    }

    mutating func count(
        _ phase: VerifyRun.Progress.Phase, bytes: UInt64, at offset: UInt64, latency: UInt64,
        time: UInt64, isMeasured: Bool
    ) {
        transfers += 1
        bytesMoved += bytes
        if phase == .write {
            bytesWritten += bytes
            if isMeasured { Self.count(&write, bytes, latency, time) }
        } else if isMeasured {
            Self.count(&read, bytes, latency, time)
        }
    }

    private static func count(
        _ measure: inout Measure, _ bytes: UInt64, _ latency: UInt64, _ time: UInt64
    ) {
        measure.bytes += bytes
        measure.transfers += 1
        measure.latency.record(latency)
        measure.course.record(bytes, at: time)
    }

    mutating func add(_ phase: VerifyRun.Progress.Phase, time: UInt64) {
        if phase == .write { write.time += time } else { read.time += time }
    }

    mutating func verified(at offset: UInt64, bytes: UInt64) {
        blocksVerified += 1
        bytesVerified += bytes
        map.add(offset, bytes, isRight: true)
    }

    mutating func bad(at offset: UInt64, bytes: UInt64) {
        blocksBad += 1
        map.add(offset, bytes, isRight: false)
    }

    /// Together with what another job did at the same time.
    mutating func merge(_ other: Self) {
        write.merge(other.write)
        read.merge(other.read)
        bytesWritten += other.bytesWritten
        bytesMoved += other.bytesMoved
        transfers += other.transfers
        blocksVerified += other.blocksVerified
        bytesVerified += other.bytesVerified
        blocksBad += other.blocksBad
        let room = max(VerifyRun.maximumMismatches - mismatches.count, 0)
        mismatches += other.mismatches.prefix(room)
        map.merge(other.map)
        interruption = interruption ?? other.interruption
        elapsed = max(elapsed, other.elapsed)
        processor = processor + other.processor
    }
}

/// What ended a run early.
public enum Interruption: Error, Sendable, Equatable {
    /// What was being done.
    public enum Step: String, Sendable { case write, read, flush }
    /// A block could not be moved.
    case errno(Step, at: UInt64, Int32)
    /// The target is shorter than it was.
    case endOfTarget(at: UInt64)
    /// Ctrl-C and the like.
    case signal(Int32)
    /// A block was wrong, and `verify_fatal` was asked for.
    case wrongBlock(at: UInt64)

    static func failure(_ step: Step, at offset: UInt64, _ failure: TransferFailure) -> Self {
        switch failure {
        case .errno(let errno): .errno(step, at: offset, errno.rawValue)
        case .endOfTarget: .endOfTarget(at: offset)
        }
    }

    /// The same as an error of the tool.
    public func error(on target: String) -> IopmemError {
        switch self {
        case .errno(let step, let offset, let number):
            let errno = Errno(rawValue: number)
            return IopmemError(
                errno, "\(target): cannot \(step.rawValue) at offset \(offset)",
                remedy: errno == .ioError || errno == .noSuchAddressOrDevice
                    ? "see whether the device is still there: iopmemctl list, dmesg" : nil)
        case .endOfTarget(let offset):
            return IopmemError(
                .failed, "\(target): it ends before the block at offset \(offset) does",
                remedy: "give a smaller --size, or write the file first")
        case .signal(let signal):
            return IopmemError(
                .interrupted, "\(target): interrupted; the report covers what was done",
                signal: signal)
        case .wrongBlock(let offset):
            return IopmemError(
                .verification,
                "\(target): stopped at the wrong block at offset \(offset), as --verify-fatal asks")
        }
    }
}
