// SPDX-License-Identifier: GPL-2.0

/// CRC-64/XZ: polynomial 0x42f0e1eba9ea3693 reflected, initial value and final
/// exclusive-or all ones; "123456789" gives 0x995dc9bbdf1939fa.
///
/// 64 bits, because a torn block is a random mixture of two valid ones: of
/// those a 32-bit sum lets one in four thousand million pass.
enum CRC64 {
    private static let table: [UInt64] = (0..<256).map { byte in
        (0..<8).reduce(UInt64(byte)) { state, _ in
            state >> 1 ^ (state & 1 == 1 ? 0xc96c_5795_d787_0f42 : 0)
        }
    }

    /// Of `bytes`, where those in `holes` count as zeros: a checksum's own place.
    static func checksum(_ bytes: ArraySlice<UInt8>, zeroing holes: [Range<Int>] = []) -> UInt64 {
        var bytes = Array(bytes)
        for hole in holes {
            for index in hole { bytes[index] = 0 }
        }
        return table.withUnsafeBufferPointer { table in
            bytes.withUnsafeBufferPointer { bytes in
                var state = UInt64.max
                for byte in bytes {
                    state = table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] ^ state >> 8
                }
                return ~state
            }
        }
    }
}
