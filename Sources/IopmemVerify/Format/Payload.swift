// SPDX-License-Identifier: GPL-2.0

/// The bytes with which fio fills a buffer from a seed.
///
/// Four streams of 64-bit words start at seed × 1, 2, 3 and 5, are written in
/// turn, and go on by a multiplication. So each word tells the seed.
enum Payload {
    /// Bytes after which the four streams repeat their turn.
    static let groupSize = 32
    private static let factors: (UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 5)
    private static let step: UInt64 = 0x61C8_8646_80B5_83EB

    /// Fills a buffer as fio fills that of one I/O.
    static func fill(_ buffer: UnsafeMutableRawBufferPointer, seed: UInt64) {
        var (a, b, c, d) = (
            seed &* factors.0, seed &* factors.1, seed &* factors.2, seed &* factors.3
        )
        let groups = buffer.count / groupSize
        for group in 0..<groups {
            let at = group * groupSize
            buffer.storeBytes(of: a, toByteOffset: at, as: UInt64.self)
            buffer.storeBytes(of: b, toByteOffset: at + 8, as: UInt64.self)
            buffer.storeBytes(of: c, toByteOffset: at + 16, as: UInt64.self)
            buffer.storeBytes(of: d, toByteOffset: at + 24, as: UInt64.self)
            a = a &* step
            b = b &* step
            c = c &* step
            d = d &* step
        }
        // What does not make a group comes from the first stream alone.
        var done = groups * groupSize
        while done < buffer.count {
            let count = min(8, buffer.count - done)
            withUnsafeBytes(of: a) {
                buffer[done..<(done + count)].copyBytes(from: $0.prefix(count))
            }
            a = a &* step
            done += count
        }
    }

    /// The seed of what begins `position` bytes, a multiple of 32, into the payload of another.
    static func advance(_ seed: UInt64, by position: UInt64) -> UInt64 {
        var factor = step
        var result = seed
        var turns = position / UInt64(groupSize)
        while turns > 0 {
            if turns & 1 == 1 { result = result &* factor }
            factor = factor &* factor
            turns >>= 1
        }
        return result
    }

    /// Whether the first whole group behind a header begins with this seed's word. Every word depends
    /// on all of the seed, so one tells the payloads of two seeds apart.
    static func begins(
        _ block: UnsafeRawBufferPointer, from dataOffset: Int, seed: UInt64
    ) -> Bool {
        let place = (dataOffset + groupSize - 1) / groupSize * groupSize
        return block.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            == advance(seed, by: UInt64(place))
    }

    /// The seed whose payload stands in `range` of a block, if all words of one
    /// of its groups agree on one.
    ///
    /// - Parameter range: in bytes from the block's start; only whole groups count.
    static func recoverSeed(
        from block: UnsafeRawBufferPointer, in range: Range<Int>
    ) -> UInt64? {
        let first = (range.lowerBound + groupSize - 1) / groupSize
        let last = range.upperBound / groupSize
        guard first < last else { return nil }
        let backwards = inverse(of: step)
        var undo: UInt64 = 1
        for _ in 0..<first { undo = undo &* backwards }
        for group in first..<last {
            defer { undo = undo &* backwards }
            func word(_ index: Int) -> UInt64 {
                block.loadUnaligned(fromByteOffset: group * groupSize + index * 8, as: UInt64.self)
                    &* undo
            }
            let seed = word(0)
            // Zeros are what seed 0 would give, and what lost data looks like.
            guard seed != 0, word(1) == seed &* factors.1, word(2) == seed &* factors.2,
                word(3) == seed &* factors.3
            else { continue }
            return seed
        }
        return nil
    }

    /// The number that undoes a multiplication by an odd one, modulo 2^64.
    private static func inverse(of odd: UInt64) -> UInt64 {
        // Newton's iteration; each step doubles the number of right bits, from 3.
        var result = odd
        for _ in 0..<5 { result = result &* (2 &- odd &* result) }
        return result
    }
}
