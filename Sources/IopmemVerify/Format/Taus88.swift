// SPDX-License-Identifier: GPL-2.0

/// The random generator from which fio draws the seeds of its blocks.
///
/// P. L'Ecuyer, "Maximally equidistributed combined Tausworthe generators",
/// Mathematics of Computation 65 (1996); seeded as fio does.
struct Taus88 {
    private var s1: UInt32
    private var s2: UInt32
    private var s3: UInt32

    init(seed: UInt32) {
        /// Each of the three parts needs a few high bits to be set.
        func atLeast(_ minimum: UInt32, _ value: UInt32) -> UInt32 {
            value < minimum ? value + minimum : value
        }
        func congruential(_ value: UInt32) -> UInt32 { value &* 69069 ^ seed }
        // fio starts from (2^31) + (2^17) + (2^7), where ^ is C's exclusive or.
        s1 = atLeast(1, congruential((2 ^ 31) + (2 ^ 17) + (2 ^ 7)))
        s2 = atLeast(7, congruential(s1))
        s3 = atLeast(15, congruential(s2))
        for _ in 0..<6 { _ = next() }
    }

    mutating func next() -> UInt32 {
        s1 = (s1 & 0xffff_fffe) << 12 ^ ((s1 << 13) ^ s1) >> 19
        s2 = (s2 & 0xffff_fff8) << 4 ^ ((s2 << 2) ^ s2) >> 25
        s3 = (s3 & 0xffff_fff0) << 17 ^ ((s3 << 3) ^ s3) >> 11
        return s1 ^ s2 ^ s3
    }
}

/// The seeds of a job's writes, in the order in which they are issued.
///
/// The same numbers come again from the same start, which is how a verifying
/// pass knows what each block must hold without remembering any of them.
struct SeedSequence {
    private static let multiplier: UInt64 = 0x9e37_0001
    private var generator: Taus88

    /// - Parameters:
    ///   - randseed: fio's `randseed`, 0x89 unless the user gave one.
    ///   - thread: the job's number, from 1.
    init(randseed: UInt64, thread: UInt64) {
        var state = randseed
        for _ in 0..<4 { state = state &* Self.multiplier }
        // rand_seeds[3], the one for verification, comes three steps later.
        for _ in 0..<3 { state = state &* Self.multiplier }
        generator = Taus88(seed: UInt32(truncatingIfNeeded: state &* thread &+ 3))
    }

    mutating func next() -> UInt64 {
        let first = UInt64(generator.next())
        return first &* UInt64(generator.next())
    }
}
