// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import SystemPackage

/// What a run found, complete or not.
public struct WorkloadResult: Sendable {
    /// What went in one direction.
    public struct Measure: Sendable, Equatable {
        /// Bytes moved.
        public var bytes: UInt64 = 0
        /// Blocks moved.
        public var transfers: UInt64 = 0
        /// How long it took, with making or checking the blocks.
        public var time: Duration = .zero

        var seconds: Double {
            Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        }

        /// Nil where it was too short to say.
        public var bytesPerSecond: UInt64? {
            seconds > 0 ? UInt64(Double(bytes) / seconds) : nil
        }
    }

    /// Blocks written.
    public var write = Measure()
    /// Blocks read, right or wrong.
    public var read = Measure()
    /// Blocks that were read and right.
    public var blocksVerified: UInt64 = 0
    /// Their bytes.
    public var bytesVerified: UInt64 = 0
    /// Blocks that were read and wrong.
    public var blocksBad: UInt64 = 0
    /// What was wrong, the first thousand places.
    public var mismatches: [Mismatch] = []
    /// What ended the run early, if anything.
    public var interruption: Interruption?
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
        }
    }
}
