// SPDX-License-Identifier: GPL-2.0
import Histogram

/// How long I/Os took, in nanoseconds, in buckets that are right to three digits.
public struct Latencies: Sendable {
    /// Longer ones are counted as this, 1000 s.
    private static let longest: UInt64 = 1_000_000_000_000
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: longest, numberOfSignificantValueDigits: .three)
    private var isEmpty = true

    /// Of how many I/Os.
    public var count: UInt64 { histogram.totalCount }
    /// The shortest; 0 if there was none.
    public var minimum: UInt64 { isEmpty ? 0 : histogram.min }
    /// The longest; 0 if there was none.
    public var maximum: UInt64 { isEmpty ? 0 : histogram.max }
    /// The mean; 0 if there was none.
    public var mean: Double { isEmpty ? 0 : histogram.mean }
    /// The standard deviation; 0 if there was none.
    public var deviation: Double { isEmpty ? 0 : histogram.stdDeviation }

    mutating func record(_ nanoseconds: UInt64) {
        isEmpty = false
        histogram.record(min(nanoseconds, Self.longest))
    }

    mutating func merge(_ other: Self) {
        guard !other.isEmpty else { return }
        isEmpty = false
        histogram.add(other.histogram)
    }

    /// At most so long took `percent` of all; 0 if there was none.
    public func percentile(_ percent: Double) -> UInt64 {
        isEmpty ? 0 : histogram.valueAtPercentile(percent)
    }

    /// How many took how long, without those lengths of time that none took.
    public var buckets: [(nanoseconds: UInt64, count: UInt64)] {
        isEmpty ? [] : histogram.recordedValues().map { ($0.value, $0.count) }
    }
}
