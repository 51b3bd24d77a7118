// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemLabels

/// The exact bytes, which other people's tools may rely on.
@Suite("Label format")
struct FormatTests {
    @Test("the checksum is CRC-64/XZ")
    func checksum() {
        #expect(CRC64.checksum(Array("123456789".utf8)[...]) == 0x995d_c9bb_df19_39fa)
        let holed = CRC64.checksum(Array("12xx56789".utf8)[...], zeroing: [2..<4])
        #expect(holed == CRC64.checksum(Array("12\0\056789".utf8)[...]))
    }

    @Test("the bytes of an area with two labels, word for word")
    func snapshot() throws {
        var second = label(2, name: "scratch")
        second.mode = 4
        second.map = 0
        second.media = 0
        let memory = try Memory.with([label(1), second])
        #expect(memory.dump == Self.expected)
    }

    static let expected = """
        000000: 49 4f 50 4d 45 4d 4c 41
        000008: 01 00 00 00 00 00 00 00
        000018: 00 00 20 00 00 00 00 00
        000020: a0 a1 a2 a3 a4 a5 a6 a7
        000028: a8 a9 aa ab ac ad ae af
        000038: b9 db 7a 97 9b d0 40 33
        000040: 01 00 00 00 00 00 00 00
        000048: 03 00 00 00 00 00 00 00
        000050: 80 01 00 00 00 00 00 00
        000078: 05 b8 86 c6 6e cf 0b 95
        000080: f4 1a 10 11 02 00 00 00
        000088: 00 00 00 10 00 00 00 00
        0000c0: 03 00 00 00 00 00 00 00
        000400: 15 f7 ab 10 e2 e8 1d 4a
        000408: a1 ca 5e dc b8 e8 b2 3e
        040000: 49 4f 50 4d 4c 41 42 4c
        040010: 01 11 11 11 11 11 11 11
        040018: 11 11 11 11 11 11 11 11
        040020: a0 a1 a2 a3 a4 a5 a6 a7
        040028: a8 a9 aa ab ac ad ae af
        040030: 01 00 00 00 00 00 00 00
        040038: 15 f7 ab 10 e2 e8 1d 4a
        040040: 00 00 40 00 00 00 00 00
        040048: 00 00 40 00 00 00 00 00
        040050: 01 00 00 00 01 00 00 00
        040058: 01 00 00 00 01 00 00 00
        040080: 6c 61 62 65 6c 2d 31 00
        041000: 49 4f 50 4d 4c 41 42 4c
        041008: 01 00 00 00 00 00 00 00
        041010: 02 11 11 11 11 11 11 11
        041018: 11 11 11 11 11 11 11 11
        041020: a0 a1 a2 a3 a4 a5 a6 a7
        041028: a8 a9 aa ab ac ad ae af
        041030: 02 00 00 00 00 00 00 00
        041038: a1 ca 5e dc b8 e8 b2 3e
        041040: 00 00 80 00 00 00 00 00
        041048: 00 00 40 00 00 00 00 00
        041050: 04 00 00 00 00 00 00 00
        041058: 00 00 00 00 02 00 00 00
        041080: 73 63 72 61 74 63 68 00
        1ff000: 49 4f 50 4d 45 4d 4c 41
        1ff008: 01 00 00 00 01 00 00 00
        1ff018: 00 00 20 00 00 00 00 00
        1ff020: a0 a1 a2 a3 a4 a5 a6 a7
        1ff028: a8 a9 aa ab ac ad ae af
        1ff038: b0 09 67 fe a6 5a 53 22
        1ff040: 01 00 00 00 00 00 00 00
        1ff048: 03 00 00 00 00 00 00 00
        1ff050: 80 01 00 00 00 00 00 00
        1ff078: 81 df 00 28 0c 82 d3 24
        1ff080: f4 1a 10 11 02 00 00 00
        1ff088: 00 00 00 10 00 00 00 00
        1ff0c0: 03 00 00 00 00 00 00 00
        1ff400: 15 f7 ab 10 e2 e8 1d 4a
        1ff408: a1 ca 5e dc b8 e8 b2 3e
        """
}

extension Memory {
    /// Every 8 bytes that are not all zero, as `offset: bytes`.
    var dump: String {
        var lines: [String] = []
        for offset in stride(from: 0, to: bytes.count, by: 8) {
            let word = bytes[offset..<offset + 8]
            guard word.contains(where: { $0 != 0 }) else { continue }
            lines.append(
                hex(offset, 6) + ": " + word.map { hex(Int($0), 2) }.joined(separator: " "))
        }
        return lines.joined(separator: "\n")
    }

    private func hex(_ number: Int, _ digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: digits - text.count) + text
    }
}
