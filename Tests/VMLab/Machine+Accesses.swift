// SPDX-License-Identifier: GPL-2.0

/// What a processor did to a device's memory, as QEMU saw it.
///
/// Only memory that QEMU itself serves is seen, such as an NVMe controller's memory buffer; a card's
/// memory is RAM to it.
public struct MemoryAccess: Sendable, Equatable {
    /// Else it is a read.
    public let isWrite: Bool
    /// Guest-physical.
    public let address: UInt64
    /// Bytes.
    public let size: Int

    /// Reads a line of QEMU's trace; nil if it is about something else.
    ///
    ///     memory_region_ops_read cpu 0 mr 0x55d0 addr 0x380000000000 value 0x1 size 8 name 'nvme-cmb'
    ///
    /// - Parameter region: QEMU's name of the memory.
    init?(_ line: some StringProtocol, region: String) {
        let words = line.split(separator: " ")
        guard words.last == "'\(region)'", words.count >= 13 else { return nil }
        let fields = words.suffix(13)
        let event = fields[fields.startIndex]
        guard
            event.hasSuffix("memory_region_ops_read") || event.hasSuffix("memory_region_ops_write"),
            let address = UInt64(fields[fields.startIndex + 6].dropFirst(2), radix: 16),
            let size = Int(fields[fields.startIndex + 10])
        else { return nil }
        isWrite = event.hasSuffix("write")
        self.address = address
        self.size = size
    }
}

/// Memory from which a network card (QEMU's e1000e) fetched bytes that it sent: a descriptor of its ring.
public struct SentBytes: Sendable, Equatable {
    /// On the bus: without an IOMMU also the guest-physical one.
    public let addresses: Range<UInt64>

    /// Reads a line of QEMU's trace; nil if it is about something else, a descriptor without data
    /// among it.
    ///
    ///     e1000e_tx_descr 0xc9000000 : 3b1005a8 0
    ///
    /// The number behind the colon is the descriptor's second half (82574L datasheet, 7.2.10 and
    /// 7.2.11): bits 0 to 19 are the length, bit 20 tells data from a context, bit 29 says which of
    /// both forms it has.
    init?(_ line: some StringProtocol) {
        let words = line.split(separator: " ")
        guard words.count >= 5, words[words.count - 5].hasSuffix("e1000e_tx_descr"),
            let start = UInt64(words[words.count - 4].dropFirst(2), radix: 16),
            let lower = UInt64(words[words.count - 2], radix: 16)
        else { return nil }
        let (isExtended, isData) = (lower >> 29 & 1 == 1, lower >> 20 & 1 == 1)
        guard !isExtended || isData else { return nil }
        addresses = start..<start + (lower & (isExtended ? 0xfffff : 0xffff))
    }
}

extension Machine {
    /// What processors did to a device's memory while a script ran in the guest, in order.
    ///
    /// - Parameter region: QEMU's name of the memory, such as `nvme-cmb`.
    public func accesses(to region: String, during script: String) async throws -> [MemoryAccess] {
        try await record(
            of: ["memory_region_ops_read", "memory_region_ops_write"], during: script
        ).lines.compactMap { MemoryAccess($0, region: region) }
    }

    /// What network cards sent while a script ran in the guest, in order, and what the script said.
    public func sent(during script: String) async throws -> (output: String, bytes: [SentBytes]) {
        let (lines, output) = try await record(of: ["e1000e_tx_descr"], during: script)
        return (output, lines.compactMap { SentBytes($0) })
    }

    /// The lines of QEMU's trace while a script ran, and what the script said.
    private func record(
        of events: [String], during script: String
    ) async throws -> (lines: [Substring], output: String) {
        func set(_ enabled: Bool) async throws {
            for event in events {
                try await qmp.execute(
                    "trace-event-set-state",
                    ["name": .string(event), "enable": .boolean(enabled)])
            }
        }
        // QEMU writes its record line by line, before an access completes.
        let before = try trace().utf8.count
        try await set(true)
        let output = try await guest.run(script).output
        try await set(false)
        let record = String(decoding: Array(try trace().utf8.dropFirst(before)), as: UTF8.self)
        return (record.split(whereSeparator: \.isNewline), output)
    }
}
