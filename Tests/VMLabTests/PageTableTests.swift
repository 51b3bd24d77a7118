// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("Page tables")
struct PageTableTests {
    /// A word for each address; others are read as zero.
    private func find(
        _ address: UInt64, levels: Int, in memory: [UInt64: UInt64]
    ) async throws -> PageTableEntry? {
        // The low bits of CR3 are no address.
        try await PageTableEntry.find(address, root: 0x1018, levels: levels) { memory[$0] ?? 0 }
    }

    @Test("a small page is found, with the memory type of its entry", arguments: 0..<8)
    func small(type: Int) async throws {
        let bits = UInt64(type & 3) << 3 | UInt64(type >> 2) << 7
        // 0x7f12_3456_7000: the entries 254, 72, 418 and 359.
        let memory: [UInt64: UInt64] = [
            0x1000 + 254 * 8: 0x2067, 0x2000 + 72 * 8: 0x3067, 0x3000 + 418 * 8: 0x4067,
            0x4000 + 359 * 8: 0x8000_0000_d000_0067 | bits,
        ]
        let entry = try await find(0x7f12_3456_7000, levels: 4, in: memory)
        #expect(entry == PageTableEntry(physical: 0xd000_0000, type: type))
        #expect(try await find(0x7f12_3456_8000, levels: 4, in: memory) == nil)
    }

    @Test("a large page ends the walk, and has its PAT bit elsewhere")
    func large() async throws {
        let memory: [UInt64: UInt64] = [
            0x1000: 0x2067, 0x2000 + 254 * 8: 0x3067, 0x3000 + 72 * 8: 0x4067,
            0x4000 + 418 * 8: 0xd020_0000 | 1 << 12 | 1 << 7 | 1 << 3 | 1,
        ]
        let entry = try await find(0x7f12_3456_7000, levels: 5, in: memory)
        #expect(entry == PageTableEntry(physical: 0xd020_0000, type: 5))
        #expect(entry?.cacheType == "wp")
    }
}
