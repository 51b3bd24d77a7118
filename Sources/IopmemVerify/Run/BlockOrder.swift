// SPDX-License-Identifier: GPL-2.0

/// The order in which blocks are visited: each exactly once, and the same again
/// for the same key, so that no table of visited blocks is needed.
struct BlockOrder: Sendable {
    private let count: UInt64
    private let key: UInt64?
    private let halfBits: UInt64

    /// - Parameters:
    ///   - count: how many blocks there are, at least one.
    ///   - shuffledBy: which random order; nil for the natural one.
    init(count: UInt64, shuffledBy key: UInt64?) {
        self.count = count
        self.key = key
        let bits = UInt64(UInt64.bitWidth - max(count - 1, 1).leadingZeroBitCount)
        halfBits = (bits + 1) / 2
    }

    /// The block that is visited as number `position`.
    func block(at position: UInt64) -> UInt64 {
        guard let key else { return position }
        // A Feistel network permutes the next larger even power of two; walking
        // along the cycle until the value is in range permutes exactly `count`.
        // The range is more than a quarter of the domain, so walks are short.
        var value = position
        repeat { value = permute(value, key) } while value >= count
        return value
    }

    /// The inverse of ``block(at:)``.
    func position(of block: UInt64) -> UInt64 {
        guard let key else { return block }
        var value = block
        repeat { value = unpermute(value, key) } while value >= count
        return value
    }

    private static let rounds: Range<UInt64> = 0..<4

    private func permute(_ value: UInt64, _ key: UInt64) -> UInt64 {
        let mask = (UInt64(1) << halfBits) - 1
        var left = value >> halfBits
        var right = value & mask
        for round in Self.rounds {
            (left, right) = (right, left ^ (Self.mixed(right, key, round) & mask))
        }
        return left << halfBits | right
    }

    private func unpermute(_ value: UInt64, _ key: UInt64) -> UInt64 {
        let mask = (UInt64(1) << halfBits) - 1
        var left = value >> halfBits
        var right = value & mask
        for round in Self.rounds.reversed() {
            (left, right) = (right ^ (Self.mixed(left, key, round) & mask), left)
        }
        return left << halfBits | right
    }

    private static func mixed(_ half: UInt64, _ key: UInt64, _ round: UInt64) -> UInt64 {
        SplitMix64.mix(half ^ (key &+ round &* 0x9e37_79b9_7f4a_7c15))
    }
}
