// SPDX-License-Identifier: GPL-2.0

/// A moment after which waiting is given up.
public struct Deadline: Sendable, Equatable {
    private let moment: ContinuousClock.Instant

    /// That long from now.
    public init(in duration: Duration) {
        moment = ContinuousClock.now + duration
    }

    /// What poll(2) takes: milliseconds until then, rounded up, 0 if it is over.
    public var pollTimeout: Int32 {
        let left = moment - ContinuousClock.now
        guard left > .zero else { return 0 }
        let (seconds, attoseconds) = left.components
        return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
    }

    /// Whether it is over.
    public var hasPassed: Bool { ContinuousClock.now >= moment }
}
