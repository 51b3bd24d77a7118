// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem

/// A label as it is shown.
public struct LabelRecord: Sendable, Equatable {
    /// The slot that it is in.
    public var slot: Int
    /// The namespace's identity; nil if it is not one.
    public var uuid: NamespaceUUID?
    /// The user's name, or empty.
    public var name: String
    /// How the namespace's pages can be reached; a number where it is unknown.
    public var mode: String
    /// Where its struct pages live; nil where there are none.
    public var map: String?
    /// Bytes from the start of the region.
    public var offset: UInt64
    /// Bytes.
    public var size: UInt64
    /// What the media was when the label was made.
    public var media: String
    /// The namespace's number in its region.
    public var number: UInt32
    /// The how-manieth label of the area it is.
    public var creation: UInt64
    /// The kernel's name of the namespace, if it stands.
    public var namespace: String?
    /// Why it is not believed; nil if it is.
    public var objection: String?
}

extension LabelRecord: Encodable {
    private enum CodingKeys: String, CodingKey {
        case slot, uuid, name, mode, map, offset, size, media, number, creation
        case dev, objection
    }

    /// The object of `labels show -o json`'s "labels".
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(slot, forKey: .slot)
        try container.encodeIfPresent(uuid, forKey: .uuid)
        if !name.isEmpty { try container.encode(name, forKey: .name) }
        try container.encode(mode, forKey: .mode)
        try container.encodeIfPresent(map, forKey: .map)
        try container.encode(offset, forKey: .offset)
        try container.encode(size, forKey: .size)
        try container.encode(media, forKey: .media)
        try container.encode(number, forKey: .number)
        try container.encode(creation, forKey: .creation)
        try container.encodeIfPresent(namespace, forKey: .dev)
        try container.encodeIfPresent(objection, forKey: .objection)
    }
}

/// A label area as it is shown.
public struct LabelSummary: Sendable, Equatable, Encodable {
    /// The area's own identity.
    public var uuid: NamespaceUUID?
    /// The kernel's name of the region.
    public var region: String
    /// The PCI function.
    public var device: PCIAddress
    /// The BAR.
    public var bar: Int
    /// The version of the format.
    public var version: UInt32
    /// How often the area was changed.
    public var sequence: UInt64
}

extension LabelRecord {
    init(_ entry: LabelArea.Entry, in area: LabelArea, namespaces: [Namespace]) {
        let label = entry.label
        let isPlain = entry.hasPlainName
        self.init(
            slot: entry.slot, uuid: NamespaceUUID(bytes: label.uuid),
            name: isPlain ? label.name : "",
            mode: DriverNumber.modeWord(label.mode) ?? "\(label.mode)",
            map: label.map == 0 ? nil : DriverNumber.mapWord(label.map) ?? "\(label.map)",
            offset: label.offset, size: label.size,
            media: DriverNumber.mediaWord(label.media) ?? "\(label.media)", number: label.number,
            creation: label.creation,
            namespace: namespaces.first { $0.uuid.bytes == label.uuid }?.dev,
            objection: area.objections.first { $0.entry.slot == entry.slot }?.reason)
    }
}
