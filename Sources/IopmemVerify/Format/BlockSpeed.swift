// SPDX-License-Identifier: GPL-2.0
import Glibc
import IopmemSystem

/// How fast blocks can be made: what a run costs besides moving them.
public enum BlockSpeed {
    private static let blockSize = 4096
    /// More than the processor's caches hold.
    private static let size = 256 << 20

    /// Bytes per nanosecond of making blocks of 4 KiB with crc32c in memory, and of memcpy(3) of as
    /// many bytes into the same memory.
    public static func measure() -> (blocks: Double, copies: Double) {
        let memory = AlignedBuffer(size: size)
        let source = AlignedBuffer(size: size)
        guard let to = memory.bytes.baseAddress, let from = source.bytes.baseAddress else {
            return (0, 0)
        }
        memset(to, 1, size)
        memset(from, 2, size)
        let begun = Monotonic.nanoseconds()
        for index in 0..<(size / blockSize) {
            let place = index * blockSize
            FioHeader(
                length: UInt32(blockSize), seed: UInt64(index) &* 0x9e37_79b9_7f4a_7c15 | 1,
                offset: UInt64(place), number: UInt64(index)
            ).writeBlock(
                UnsafeMutableRawBufferPointer(start: to + place, count: blockSize))
        }
        let made = Monotonic.nanoseconds()
        memcpy(to, from, size)
        let copied = Monotonic.nanoseconds()
        return (
            Double(size) / Double(max(made - begun, 1)),
            Double(size) / Double(max(copied - made, 1))
        )
    }
}
