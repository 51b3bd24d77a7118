// SPDX-License-Identifier: GPL-2.0

/// How much was moved when, in a bounded number of equal stretches of time: they grow as the run does.
public struct Course: Sendable {
    /// So many stretches at most.
    static let limit = 240
    /// Nanoseconds of each.
    public private(set) var width: UInt64 = 10_000_000
    /// Bytes moved in each, from the beginning of the run.
    public private(set) var bytes: [UInt64] = []

    mutating func record(_ count: UInt64, at time: UInt64) {
        var index = Int(time / width)
        while index >= Self.limit {
            halve()
            index = Int(time / width)
        }
        if index >= bytes.count {
            bytes += [UInt64](repeating: 0, count: index + 1 - bytes.count)
        }
        bytes[index] += count
    }

    private mutating func halve() {
        width *= 2
        bytes = stride(from: 0, to: bytes.count, by: 2).map { index in
            bytes[index] + (index + 1 < bytes.count ? bytes[index + 1] : 0)
        }
    }

    /// Together with what another job moved at the same time.
    mutating func merge(_ other: Self) {
        var other = other
        while width < other.width { halve() }
        while other.width < width { other.halve() }
        if bytes.count < other.bytes.count {
            bytes += [UInt64](repeating: 0, count: other.bytes.count - bytes.count)
        }
        for (index, count) in other.bytes.enumerated() { bytes[index] += count }
    }

    /// Bytes per second in each stretch.
    public var rates: [Double] { bytes.map { Double($0) * 1e9 / Double(width) } }
}
