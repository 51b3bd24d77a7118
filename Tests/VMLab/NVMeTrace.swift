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

        /// The parts of it in each page.
        var pages: [Segment] {
            var pieces: [Segment] = []
            let end = address + UInt64(length)
            var start = address
            while start < end {
                let next = min((start & ~0xfff) + 4096, end)
                pieces.append(Segment(address: start, length: Int(next - start)))
                start = next
            }
            return pieces
        }
    }

    /// The commands, in order.
    public private(set) var commands: [Command] = []
    /// The memory, in order, at its guest-physical addresses. Queues and PRP lists are not among it:
    /// QEMU fetches those another way.
    public private(set) var segments: [Segment] = []
    /// Bytes at addresses that the IOMMU did not translate although it is there.
    public private(set) var untranslatedBytes = 0

    /// The trace events to ask QEMU for.
    static let events = [
        "pci_nvme_map_addr", "pci_nvme_read", "pci_nvme_write", "vtd_dmar_translate",
    ]

    /// Reads lines such as these, with or without QEMU's `PID@TIME:` in front:
    ///
    ///     pci_nvme_map_addr addr 0xc9000000 len 524288
    ///     pci_nvme_read cid 73 nsid 1 nlb 256 count 131072 lba 0x0
    ///     pci_nvme_write cid 5 opname 'NVME_NVM_CMD_WRITE' nsid 1 nlb 8 count 4096 lba 0x800
    ///     vtd_dmar_translate dev 02:00.00 iova 0xfffdc000 -> gpa 0x4d0f000 mask 0xfff
    ///
    /// - Parameter isTranslated: Whether an IOMMU stands between the controllers and memory. Then an
    ///   address means what the next translation of its page says.
    init(_ text: String, isTranslated: Bool = false) {
        // Runs that still wait for the translation of their pages, which comes with the data.
        var pending: [UInt64: [Segment]] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            var words = line.split(separator: " ")[...]
            guard let event = words.popFirst()?.split(separator: ":").last else { continue }
            var fields: [Substring: Substring] = [:]
            while let name = words.popFirst(), let value = words.popFirst() {
                fields[name] = value
                if name == "->" {
                    fields["gpa"] = words.popFirst()
                }
            }
            switch event {
            case "pci_nvme_map_addr":
                guard let address = Self.number(fields["addr"]),
                    let length = Self.number(fields["len"])
                else { continue }
                let segment = Segment(address: address, length: Int(length))
                guard isTranslated else {
                    segments.append(segment)
                    continue
                }
                for piece in segment.pages {
                    pending[piece.address & ~0xfff, default: []].append(piece)
                }
            case "vtd_dmar_translate":
                guard let from = Self.number(fields["iova"]), let to = Self.number(fields["gpa"]),
                    let mask = Self.number(fields["mask"])
                else { continue }
                for page in pending.keys where page & ~mask == from & ~mask {
                    for piece in pending.removeValue(forKey: page) ?? [] {
                        let address = (to & ~mask) | (piece.address & mask)
                        segments.append(Segment(address: address, length: piece.length))
                    }
                }
            case "pci_nvme_read", "pci_nvme_write":
                guard let count = Self.number(fields["count"]) else { continue }
                commands.append(Command(isRead: event == "pci_nvme_read", bytes: Int(count)))
            default: continue
            }
        }
        untranslatedBytes = pending.values.joined().reduce(0) { $0 + $1.length }
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
        segments.reduce(untranslatedBytes) { $0 + $1.length - Self.overlap($1, range) }
    }

    private static func overlap(_ segment: Segment, _ range: Range<UInt64>) -> Int {
        let end = segment.address + UInt64(segment.length)
        let low = max(segment.address, range.lowerBound)
        let high = min(end, range.upperBound)
        return low < high ? Int(high - low) : 0
    }
}
