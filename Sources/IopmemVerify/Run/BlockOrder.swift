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

    private func permute(_ value: UInt64, _ key: UInt64) -> UInt64 {
        let mask = (UInt64(1) << halfBits) - 1
        var left = value >> halfBits
        var right = value & mask
        for round in UInt64(0)..<4 {
            let mixed = Self.mix(right ^ (key &+ round &* 0x9e37_79b9_7f4a_7c15))
            (left, right) = (right, left ^ (mixed & mask))
        }
        return left << halfBits | right
    }

    /// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

/// The headers of a loop's blocks in the order in which they are written. Two of
/// them made alike give the same headers: the second verifies the first.
struct BlockSequence {
    private let workload: Workload
    private let order: BlockOrder
    private let stamp: (seconds: UInt32, nanoseconds: UInt32)
    private let loop: UInt64
    private var seeds: SeedSequence
    private var position: UInt64 = 0

    /// The sequence of a workload's first loop.
    ///
    /// - Parameter stamp: the time that all headers of the run carry.
    init(_ workload: Workload, stamp: (seconds: UInt32, nanoseconds: UInt32) = (0, 0)) {
        self.init(
            workload, stamp: stamp,
            seeds: SeedSequence(randseed: workload.randseed, thread: 1), loop: 0)
    }

    private init(
        _ workload: Workload, stamp: (seconds: UInt32, nanoseconds: UInt32),
        seeds: SeedSequence, loop: UInt64
    ) {
        self.workload = workload
        self.stamp = stamp
        self.seeds = seeds
        order = BlockOrder(
            count: workload.blockCount,
            shuffledBy: workload.pattern.isRandom ? workload.randseed &+ loop : nil)
        self.loop = loop
    }

    /// The next block's header; nil after the last.
    mutating func next() -> FioHeader? {
        guard position < workload.blockCount else { return nil }
        defer { position += 1 }
        let format = workload.format
        var header = FioHeader(
            layout: format.release.layout, method: format.method ?? BlockFormat.defaultMethod,
            length: UInt32(workload.blockSize), seed: seeds.next(),
            offset: workload.offset + order.block(at: position) * UInt64(workload.blockSize),
            seconds: stamp.seconds, nanoseconds: stamp.nanoseconds, number: position,
            pattern: format.pattern)
        header.release = format.release
        return header
    }

    /// The sequence of the loop after this one, which must have been used up:
    /// its seeds go on, so that data of two loops never look alike.
    func following() -> BlockSequence {
        BlockSequence(workload, stamp: stamp, seeds: seeds, loop: loop + 1)
    }
}
