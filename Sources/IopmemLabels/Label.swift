// SPDX-License-Identifier: GPL-2.0

/// What a label says of a namespace.
public struct Label: Equatable, Sendable {
    /// The namespace's 16 bytes of identity.
    public var uuid: [UInt8]
    /// The user's name, or empty; at most `LabelFormat.maxNameLength` bytes.
    public var name: String
    /// How its pages can be reached: the ABI's number of a mode.
    public var mode: UInt32
    /// Where its struct pages live: the ABI's number of a map, 0 for none.
    public var map: UInt32
    /// Bytes from the start of the region.
    public var offset: UInt64
    /// Bytes.
    public var size: UInt64
    /// What the region's media was said to be when the label was made: the
    /// ABI's number. Only a hint, since whoever binds the device decides.
    public var media: UInt32
    /// The namespace's number in its region, to be given again if it is free.
    public var number: UInt32
    /// How many labels were made in this area before, plus one; 0 in a new label,
    /// which gets its number when it is added.
    public var creation: UInt64
    /// None are defined. A reader refuses a label with unknown bits in the lower
    /// half, and takes no notice of those in the upper half.
    public var flags: UInt32

    /// That label.
    public init(
        uuid: [UInt8], name: String, mode: UInt32, map: UInt32, offset: UInt64, size: UInt64,
        media: UInt32, number: UInt32, creation: UInt64 = 0, flags: UInt32 = 0
    ) {
        self.uuid = uuid
        self.name = name
        self.mode = mode
        self.map = map
        self.offset = offset
        self.size = size
        self.media = media
        self.number = number
        self.creation = creation
        self.flags = flags
    }

    /// Its bytes of the region; nil if there is no such number.
    public var range: Range<UInt64>? {
        let (end, overflow) = offset.addingReportingOverflow(size)
        return overflow ? nil : offset..<end
    }
}

extension Label {
    private typealias Place = LabelFormat.Label
    private static let checksumPlace = Place.checksum..<Place.checksum + 8

    /// As it stands in `slot` of the area `areaUUID`.
    func encoded(slot: Int, areaUUID: [UInt8]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: LabelFormat.labelSize)
        bytes.put(LabelFormat.labelMagic, at: Place.magic)
        bytes.put(UInt32(slot), at: Place.slot)
        bytes.put(flags, at: Place.flags)
        bytes.put(uuid, at: Place.uuid, limit: 16)
        bytes.put(areaUUID, at: Place.areaUUID, limit: 16)
        bytes.put(creation, at: Place.creation)
        bytes.put(offset, at: Place.offset)
        bytes.put(size, at: Place.size)
        bytes.put(mode, at: Place.mode)
        bytes.put(map, at: Place.map)
        bytes.put(media, at: Place.media)
        bytes.put(number, at: Place.number)
        bytes.put(name.utf8, at: Place.name, limit: LabelFormat.maxNameLength)
        bytes.put(CRC64.checksum(bytes[...]), at: Place.checksum)
        return bytes
    }

    /// Its checksum in those bytes, by which an index names it.
    static func checksum(in bytes: [UInt8]) -> UInt64 {
        bytes.number(at: Place.checksum, as: UInt64.self)
    }

    /// Reads a slot's bytes; says why where they are not the label that the
    /// index expects.
    static func decode(
        _ bytes: [UInt8], slot: Int, areaUUID: [UInt8], expecting entry: UInt64
    ) -> Result<Label, SlotDamage> {
        func damage(_ reason: String, at place: Int) -> Result<Label, SlotDamage> {
            .failure(
                SlotDamage(slot: slot, reason: reason, at: LabelFormat.offset(ofSlot: slot) + place)
            )
        }
        guard bytes.count == LabelFormat.labelSize else {
            return damage("it ends too early", at: bytes.count)
        }
        guard bytes.number(at: Place.magic, as: UInt64.self) == LabelFormat.labelMagic else {
            return damage("no label stands there", at: Place.magic)
        }
        let stored = checksum(in: bytes)
        guard stored == CRC64.checksum(bytes[...], zeroing: [checksumPlace]) else {
            return damage("its checksum is wrong", at: Place.checksum)
        }
        guard stored == entry else {
            return damage("it is not the label that the index means", at: Place.checksum)
        }
        guard bytes.number(at: Place.slot, as: UInt32.self) == UInt32(slot),
            Array(bytes[Place.areaUUID..<Place.areaUUID + 16]) == areaUUID
        else { return damage("it was written for another place", at: Place.slot) }
        let flags = bytes.number(at: Place.flags, as: UInt32.self)
        guard flags & 0xffff == 0 else {
            return damage("it has unknown flags 0x\(String(flags, radix: 16))", at: Place.flags)
        }
        let name = bytes[Place.name..<Place.name + LabelFormat.maxNameLength].prefix { $0 != 0 }
        return .success(
            Label(
                uuid: Array(bytes[Place.uuid..<Place.uuid + 16]),
                name: String(decoding: name, as: UTF8.self),
                mode: bytes.number(at: Place.mode, as: UInt32.self),
                map: bytes.number(at: Place.map, as: UInt32.self),
                offset: bytes.number(at: Place.offset, as: UInt64.self),
                size: bytes.number(at: Place.size, as: UInt64.self),
                media: bytes.number(at: Place.media, as: UInt32.self),
                number: bytes.number(at: Place.number, as: UInt32.self),
                creation: bytes.number(at: Place.creation, as: UInt64.self), flags: flags))
    }
}

/// A slot that the index calls used, and that does not hold its label.
public struct SlotDamage: Error, Equatable, Sendable {
    /// Its number.
    public var slot: Int
    /// Why, after "the label in slot 3: ".
    public var reason: String
    /// The byte of the area where that was found.
    public var at: Int

    /// The whole sentence.
    public var sentence: String { "the label in slot \(slot): \(reason) (\(byte(at)))" }
}
