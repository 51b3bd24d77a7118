// SPDX-License-Identifier: GPL-2.0

/// An entry of a processor's page tables, as QEMU finds it when it walks them.
public struct PageTableEntry: Sendable, Equatable {
    /// Where its page begins for a program.
    public let address: UInt64
    /// Guest-physical.
    public let physical: UInt64
    /// `PCD` and `PWT`; a large page's `PAT` bit is not told, and Linux leaves it clear.
    public let isCacheDisabled, isWriteThrough: Bool

    /// The memory type, in the words of the driver's sysfs files.
    ///
    /// Linux programs the PAT so that its first four entries are these
    /// (arch/x86/mm/pat/memtype.c, pat_bp_init()).
    public var cacheType: String {
        switch (isCacheDisabled, isWriteThrough) {
        case (false, false): "wb"
        case (false, true): "wc"
        case (true, false): "uc-"
        case (true, true): "uc"
        }
    }

    /// Reads a line of QEMU's `info tlb`: `00007f0000000000: 00000000d0000000 X--DA-TUW`.
    init?(_ line: some StringProtocol) {
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 3, words[0].last == ":", words[2].count == 9,
            let address = UInt64(words[0].dropLast(), radix: 16),
            let physical = UInt64(words[1], radix: 16)
        else { return nil }
        self.address = address
        self.physical = physical
        isCacheDisabled = words[2].contains("C")
        isWriteThrough = words[2].contains("T")
    }
}

extension Machine {
    /// The entry for an address of the program that runs on processor 0 now.
    ///
    /// - Parameter address: where a page begins that the program has touched, on that processor and
    ///   without an end.
    /// - Throws: ``LabError`` if other programs were there each time, or it has no such page.
    public func pageTableEntry(at address: UInt64) async throws -> PageTableEntry {
        for _ in 0..<20 {
            let listing = try await monitor("info tlb")
            let entry = listing.split(whereSeparator: \.isNewline).lazy
                .compactMap { PageTableEntry($0) }.first { $0.address == address }
            if let entry { return entry }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw LabError("processor 0 has no page at 0x\(String(address, radix: 16))")
    }
}
