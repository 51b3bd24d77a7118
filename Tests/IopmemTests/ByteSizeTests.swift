// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

/// Sizes as users write and read them.
@Suite("ByteSize")
struct ByteSizeTests {
    @Test(
        "suffixes are powers of 1024",
        arguments: [
            ("0", 0), ("4096", 4096), ("4k", 4096), ("4K", 4096), ("2M", 2 << 20), ("1G", 1 << 30),
            ("1GiB", 1 << 30), ("3T", 3 << 40), ("16777215T", 16_777_215 << 40),
        ] as [(String, UInt64)])
    func accepted(text: String, bytes: UInt64) {
        #expect(ByteSize.parse(text) == bytes)
    }

    @Test(
        "refuses signs, fractions, unknown letters, and what 64 bits cannot hold",
        arguments: [
            "", "K", "-1", "+1", "1.5G", "1 G", "1KB", "1X", "1KK", "0x10", "iB", "1iB", "٣",
            "16777216T", "18446744073709551616",
        ])
    func refused(text: String) {
        #expect(ByteSize.parse(text) == nil)
    }

    @Test(
        "an exact size reads back as itself",
        arguments: [0, 1, 1023, 1024, 3 << 20, 5 << 30, (1 << 40) + 1, .max])
    func exact(bytes: UInt64) {
        #expect(ByteSize.parse(ByteSize.exact(bytes)) == bytes)
    }

    @Test("a size in a table has a unit and at most one decimal")
    func display() {
        #expect(ByteSize.display(0) == "0 B")
        #expect(ByteSize.display(96) == "96 B")
        #expect(ByteSize.display(512 << 20) == "512 MiB")
        #expect(ByteSize.display(3 << 29) == "1.5 GiB")
        #expect(ByteSize.display((1 << 30) - 1) == "1023.9 MiB")
    }
}
