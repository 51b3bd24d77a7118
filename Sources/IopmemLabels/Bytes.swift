// SPDX-License-Identifier: GPL-2.0

extension [UInt8] {
    /// The little-endian number at `offset`; the caller has checked the length.
    func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type) -> Number {
        withUnsafeBytes { bytes in
            Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
        }
    }

    /// Puts a little-endian number at `offset`.
    mutating func put(_ number: some FixedWidthInteger, at offset: Int) {
        withUnsafeMutableBytes {
            $0.storeBytes(of: number.littleEndian, toByteOffset: offset, as: type(of: number))
        }
    }

    /// Puts bytes at `offset`, at most `limit` of them, with zeros after fewer.
    mutating func put(_ bytes: some Collection<UInt8>, at offset: Int, limit: Int) {
        let kept = Array(bytes.prefix(limit))
        let padding = [UInt8](repeating: 0, count: limit - kept.count)
        replaceSubrange(offset..<offset + limit, with: kept + padding)
    }

    /// Where the first byte is that is not zero; nil if all are.
    public var firstNonZero: Int? {
        // By words, since a whole area has two million bytes.
        let clear = withUnsafeBytes { bytes in
            var offset = 0
            while offset + 8 <= bytes.count,
                bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) == 0
            {
                offset += 8
            }
            return offset
        }
        return self[clear...].firstIndex { $0 != 0 }
    }
}

/// Names a place as people look for it in a hex dump.
func byte(_ offset: Int) -> String { "byte 0x" + String(offset, radix: 16) }
