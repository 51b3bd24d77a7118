// SPDX-License-Identifier: GPL-2.0

/// QEMU's own record of what its NVMe controllers did: every address that data was moved to or
/// from, and every read and write command. Nothing in the guest can influence it.
public struct NVMeTrace: Sendable {
    /// A read or write command of the guest.
    public struct Command: Sendable, Equatable {
        /// Whether data went from the drive to memory.
        public let isRead: Bool
        /// Bytes asked for.
        public let bytes: Int
    }

    /// One run of memory that a controller moved data to or from.
    public struct Segment: Sendable, Equatable {
        /// Bus address: without an IOMMU also the guest-physical one.
        public let address: UInt64
        /// Bytes.
        public let length: Int
    }

    /// The commands, in order.
    public private(set) var commands: [Command] = []
    /// The memory, in order. Queues and PRP lists are not among it: QEMU fetches those another way.
    public private(set) var segments: [Segment] = []

    /// The trace events to ask QEMU for.
    static let events = ["pci_nvme_map_addr", "pci_nvme_read", "pci_nvme_write"]

    /// Reads lines such as these, with or without QEMU's `PID@TIME:` in front:
    ///
    ///     pci_nvme_map_addr addr 0xc9000000 len 524288
    ///     pci_nvme_read cid 73 nsid 1 nlb 256 count 131072 lba 0x0
    ///     pci_nvme_write cid 5 opname 'NVME_NVM_CMD_WRITE' nsid 1 nlb 8 count 4096 lba 0x800
    init(_ text: String) {
        for line in text.split(separator: "\n") {
            var words = line.split(separator: " ")[...]
            guard let event = words.popFirst()?.split(separator: ":").last else { continue }
            var fields: [Substring: Substring] = [:]
            while let name = words.popFirst(), let value = words.popFirst() { fields[name] = value }
            switch event {
            case "pci_nvme_map_addr":
                guard let address = Self.number(fields["addr"]), let length = Self.number(fields["len"])
                else { continue }
                segments.append(Segment(address: address, length: Int(length)))
            case "pci_nvme_read", "pci_nvme_write":
                guard let count = Self.number(fields["count"]) else { continue }
                commands.append(Command(isRead: event == "pci_nvme_read", bytes: Int(count)))
            default: continue
            }
        }
    }

    private static func number(_ text: Substring?) -> UInt64? {
        guard let text else { return nil }
        return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    /// Bytes that drives were asked to deliver.
    public var bytesRead: Int { commands.filter(\.isRead).reduce(0) { $0 + $1.bytes } }
    /// Bytes that drives were asked to store.
    public var bytesWritten: Int { commands.filter { !$0.isRead }.reduce(0) { $0 + $1.bytes } }

    /// Bytes moved to or from this range, such as a card's BAR.
    public func bytes(in range: Range<UInt64>) -> Int {
        segments.reduce(0) { $0 + Self.overlap($1, range) }
    }

    /// Bytes moved to or from anywhere else: through RAM.
    public func bytes(outside range: Range<UInt64>) -> Int {
        segments.reduce(0) { $0 + $1.length - Self.overlap($1, range) }
    }

    private static func overlap(_ segment: Segment, _ range: Range<UInt64>) -> Int {
        let end = segment.address + UInt64(segment.length)
        let low = max(segment.address, range.lowerBound)
        let high = min(end, range.upperBound)
        return low < high ? Int(high - low) : 0
    }
}
