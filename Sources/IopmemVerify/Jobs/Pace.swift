// SPDX-License-Identifier: GPL-2.0

/// How long a job goes on, and how fast: fio's `runtime`, `time_based`, `ramp_time`, `loops`, `rate`
/// and `rate_iops`.
public struct Pace: Sendable, Equatable {
    /// A limit in each direction; nil for none.
    public struct Limit: Sendable, Equatable {
        /// Of what is read, verifying included.
        public var read: UInt64?
        /// Of what is written.
        public var write: UInt64?

        /// Those limits.
        public init(read: UInt64? = nil, write: UInt64? = nil) {
            self.read = read
            self.write = write
        }

        /// Whether there is none.
        public var isEmpty: Bool { read == nil && write == nil }
    }

    /// How often the whole is done, each time with other data.
    public var loops = 1
    /// No more is begun after so long. What has been written until then is verified all the same.
    public var runtime: Duration?
    /// The loops go on until `runtime` is over.
    public var isTimeBased = false
    /// Nothing is measured before so long has gone by; `runtime` begins then.
    public var ramp: Duration = .zero
    /// Bytes per second.
    public var rate = Limit()
    /// I/Os per second.
    public var rateIOPS = Limit()

    /// One loop, at full speed.
    public init() {}
}

/// Keeps one direction to a number of bytes and of I/Os per second.
///
/// What was missed is not caught up: after a pause the speed is no higher than the limit.
struct Throttle {
    private let nanosecondsPerByte: Double
    private let nanosecondsPerTransfer: Double
    /// When the next I/O may begin.
    private var due: ContinuousClock.Instant?

    /// Nil where there is no limit.
    init?(bytesPerSecond: UInt64?, transfersPerSecond: UInt64?) {
        guard bytesPerSecond != nil || transfersPerSecond != nil else { return nil }
        nanosecondsPerByte = bytesPerSecond.map { 1e9 / Double($0) } ?? 0
        nanosecondsPerTransfer = transfersPerSecond.map { 1e9 / Double($0) } ?? 0
    }

    /// How long the next I/O has to wait; it is counted as begun then.
    mutating func delay(bytes: Int, now: ContinuousClock.Instant) -> Duration {
        let start = due.map { max($0, now) } ?? now
        let cost = max(nanosecondsPerByte * Double(bytes), nanosecondsPerTransfer)
        due = start + .nanoseconds(Int64(min(cost, 1e15)))
        return start - now
    }
}
