// SPDX-License-Identifier: GPL-2.0

/// What a processor's page tables say of an address (Intel SDM volume 3, "Paging").
public struct PageTableEntry: Sendable, Equatable {
    /// Guest-physical; where its page begins.
    public let physical: UInt64
    /// Number of the memory type: the bits `PAT`, `PCD` and `PWT`.
    let type: Int

    /// The memory type, in the words of the driver's sysfs files.
    ///
    /// Linux programs the PAT so (arch/x86/mm/pat/memtype.c, pat_bp_init()).
    public var cacheType: String {
        ["wb", "wc", "uc-", "uc", "wb", "wp", "uc-", "wt"][type]
    }

    /// Walks from the top; nil where nothing is mapped.
    ///
    /// QEMU could list all that is mapped (`info tlb`), but of a kernel with KASAN, whose shadow
    /// maps one page to every place of a thousandth of the address space, it takes all of the
    /// host's memory.
    ///
    /// - Parameters:
    ///   - root: The register CR3.
    ///   - levels: 4, or 5 with CR4.LA57.
    ///   - read: The word at a physical address.
    static func find(
        _ address: UInt64, root: UInt64, levels: Int, read: (UInt64) async throws -> UInt64
    ) async throws -> PageTableEntry? {
        let frame: UInt64 = 0x000f_ffff_ffff_f000
        var table = root & frame
        for level in stride(from: levels, through: 1, by: -1) {
            // 512 entries each, of 8 bytes.
            let shift = UInt64(12 + 9 * (level - 1))
            let entry = try await read(table + (address >> shift & 511) * 8)
            guard entry & 1 != 0 else { return nil }
            let isLarge = level > 1 && entry & 1 << 7 != 0
            guard level == 1 || isLarge else {
                table = entry & frame
                continue
            }
            let attribute = entry >> (isLarge ? 12 : 7) & 1
            return PageTableEntry(
                physical: entry & frame & ~(1 << shift - 1),
                type: Int(attribute << 2 | entry >> 3 & 3))
        }
        return nil
    }
}

extension Machine {
    /// The entry for an address of the program that runs on processor 0 now.
    ///
    /// - Parameter address: of a page that the program has touched, on that processor and without
    ///   an end.
    /// - Throws: ``LabError`` if other programs were there each time, or it has no such page.
    public func pageTableEntry(at address: UInt64) async throws -> PageTableEntry {
        for _ in 0..<20 {
            let registers = try await monitor("info registers")
            let root = try Self.register("CR3", in: registers)
            let levels = try Self.register("CR4", in: registers) & 1 << 12 == 0 ? 4 : 5
            let entry = try await PageTableEntry.find(address, root: root, levels: levels) {
                try await physicalWord(at: $0)
            }
            if let entry { return entry }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LabError("processor 0 has no page at 0x\(String(address, radix: 16))")
    }

    /// From QEMU's `info registers`: `CR0=80050033 CR2=0000000000000000 CR3=…`.
    private static func register(_ name: String, in listing: String) throws -> UInt64 {
        let word = listing.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("\(name)=") }
        guard let value = word.flatMap({ UInt64($0.dropFirst(name.count + 1), radix: 16) })
        else { throw LabError("the processor shows no \(name)", evidence: listing) }
        return value
    }

    /// From QEMU's `xp`: `0000000000001000: 0x0000000012345067`.
    private func physicalWord(at address: UInt64) async throws -> UInt64 {
        let line = try await monitor("xp /1gx 0x\(String(address, radix: 16))")
        let word = line.split(whereSeparator: \.isWhitespace).last { $0.hasPrefix("0x") }
        guard let value = word.flatMap({ UInt64($0.dropFirst(2), radix: 16) })
        else { throw LabError("no word at 0x\(String(address, radix: 16))", evidence: line) }
        return value
    }
}
