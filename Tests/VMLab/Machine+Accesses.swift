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

extension Machine {
    /// What processors did to a device's memory while a script ran in the guest, in order.
    ///
    /// - Parameter region: QEMU's name of the memory, such as `nvme-cmb`.
    public func accesses(to region: String, during script: String) async throws -> [MemoryAccess] {
        let events = ["memory_region_ops_read", "memory_region_ops_write"]
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
        try await guest.run(script)
        try await set(false)
        let record = String(decoding: Array(try trace().utf8.dropFirst(before)), as: UTF8.self)
        return record.split(whereSeparator: \.isNewline).compactMap {
            MemoryAccess($0, region: region)
        }
    }
}
