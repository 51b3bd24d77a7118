// SPDX-License-Identifier: GPL-2.0

/// One of the two index blocks: which slots hold labels, and which labels.
struct IndexBlock: Equatable {
    /// All of it as it was read, so that what a newer version keeps in reserved
    /// bytes survives a write.
    private var bytes: [UInt8]

    var uuid: [UInt8]
    var sequence: UInt64
    /// The creation counter of the next label.
    var nextCreation: UInt64
    var device: DeviceHint
    var compatible: UInt32
    /// By slot: the checksum of the label in it; nil if the slot is free.
    var entries: [UInt64?]

    private typealias Place = LabelFormat.Index

    /// The whole block's checksum.
    ///
    /// The header's own must count as zeros in it: a CRC of bytes followed by
    /// their CRC is the same number whatever the bytes are, and a torn header
    /// would go unseen.
    static func checksum(_ bytes: [UInt8]) -> UInt64 {
        CRC64.checksum(
            bytes[...],
            zeroing: [
                Place.headerChecksum..<Place.headerChecksum + 8,
                Place.checksum..<Place.checksum + 8,
            ])
    }

    /// An index without labels.
    init(uuid: [UInt8], device: DeviceHint) {
        bytes = [UInt8](repeating: 0, count: LabelFormat.blockSize)
        self.uuid = uuid
        self.device = device
        sequence = 0
        nextCreation = 1
        compatible = 0
        entries = [UInt64?](repeating: nil, count: LabelFormat.slotCount)
    }

    /// As it stands in the first (0) or last (1) block.
    func encoded(number: Int) -> [UInt8] {
        var bytes = bytes
        bytes.put(LabelFormat.areaMagic, at: Place.magic)
        bytes.put(LabelFormat.version, at: Place.version)
        bytes.put(UInt32(number), at: Place.number)
        bytes.put(compatible, at: Place.compatible)
        bytes.put(UInt32(0), at: Place.incompatible)
        bytes.put(UInt64(LabelFormat.areaSize), at: Place.areaSize)
        bytes.put(uuid, at: Place.uuid, limit: 16)
        bytes.put(CRC64.checksum(bytes[..<Place.headerChecksum]), at: Place.headerChecksum)
        bytes.put(sequence, at: Place.sequence)
        bytes.put(nextCreation, at: Place.nextCreation)
        bytes.put(UInt32(LabelFormat.slotCount), at: Place.slotCount)
        device.put(into: &bytes, at: Place.device)
        for (slot, entry) in entries.enumerated() {
            let place = Place.bitmap + slot / 8
            let bit: UInt8 = 1 << UInt8(slot % 8)
            bytes[place] = entry == nil ? bytes[place] & ~bit : bytes[place] | bit
            bytes.put(entry ?? 0, at: Place.entries + slot * 8)
        }
        bytes.put(Self.checksum(bytes), at: Place.checksum)
        return bytes
    }

    /// Whether both say the same of the labels.
    func agrees(with other: IndexBlock) -> Bool {
        encoded(number: 0) == other.encoded(number: 0)
    }
}

/// What stands in the place of an index block.
enum BlockState: Equatable {
    /// Only zeros.
    case blank
    /// Something else; where its first byte is.
    case foreign(at: Int)
    /// One of ours that cannot be trusted: why, and the byte of the area.
    case damaged(String, at: Int)
    /// One of ours that this module is too old for: what it needs.
    case future(String)
    /// One of ours.
    case valid(IndexBlock)

    var index: IndexBlock? {
        guard case .valid(let index) = self else { return nil }
        return index
    }
}

extension IndexBlock {
    /// Reads the block `number` from its 4096 bytes.
    static func state(of bytes: [UInt8], number: Int) -> BlockState {
        let start = LabelFormat.indexOffsets[number]
        func damaged(_ reason: String, _ place: Int) -> BlockState {
            .damaged(reason, at: start + place)
        }
        let wrongBits =
            (bytes.number(at: Place.magic, as: UInt64.self) ^ LabelFormat.areaMagic).nonzeroBitCount
        guard wrongBits <= LabelFormat.toleratedMagicBits else {
            return bytes.firstNonZero.map { .foreign(at: start + $0) } ?? .blank
        }
        guard wrongBits == 0 else {
            return damaged("\(wrongBits) bits of its magic are wrong", Place.magic)
        }
        // The first 64 bytes mean the same in every version.
        guard
            bytes.number(at: Place.headerChecksum, as: UInt64.self)
                == CRC64.checksum(bytes[..<Place.headerChecksum])
        else { return damaged("the checksum of its header is wrong", Place.headerChecksum) }
        let version = bytes.number(at: Place.version, as: UInt32.self)
        guard version == LabelFormat.version else { return .future("version \(version)") }
        let incompatible = bytes.number(at: Place.incompatible, as: UInt32.self)
        guard incompatible == 0 else {
            return .future("features 0x\(String(incompatible, radix: 16))")
        }
        guard bytes.number(at: Place.checksum, as: UInt64.self) == checksum(bytes) else {
            return damaged("its checksum is wrong", Place.checksum)
        }
        guard bytes.number(at: Place.number, as: UInt32.self) == UInt32(number) else {
            return damaged("it belongs in the other place", Place.number)
        }
        guard bytes.number(at: Place.areaSize, as: UInt64.self) == UInt64(LabelFormat.areaSize),
            bytes.number(at: Place.slotCount, as: UInt32.self) == UInt32(LabelFormat.slotCount)
        else { return damaged("its sizes are not those of version 1", Place.areaSize) }
        let index = IndexBlock(valid: bytes)
        // So that the next numbers can always be had.
        guard index.sequence < LabelFormat.counterLimit,
            index.nextCreation < LabelFormat.counterLimit
        else {
            return damaged("its counters have run out", Place.sequence)
        }
        return .valid(index)
    }

    private init(valid bytes: [UInt8]) {
        self.bytes = bytes
        uuid = Array(bytes[Place.uuid..<Place.uuid + 16])
        sequence = bytes.number(at: Place.sequence, as: UInt64.self)
        nextCreation = bytes.number(at: Place.nextCreation, as: UInt64.self)
        device = DeviceHint(bytes, at: Place.device)
        compatible = bytes.number(at: Place.compatible, as: UInt32.self)
        entries = (0..<LabelFormat.slotCount).map { slot in
            guard bytes[Place.bitmap + slot / 8] & 1 << UInt8(slot % 8) != 0 else { return nil }
            return bytes.number(at: Place.entries + slot * 8, as: UInt64.self)
        }
    }
}
