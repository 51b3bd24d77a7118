// SPDX-License-Identifier: GPL-2.0

/// What a file in /etc/iopmem says: which card it means, how that is bound, and
/// which namespaces come back on it.
public struct CardFile: Sendable, Equatable {
    /// Which card.
    public var card: CardPattern
    /// Only this BAR; nil for every eligible one.
    public var bar: Int?
    /// `volatile` or `persistent`.
    public var media: String
    /// The size in bytes that the BAR is given first; nil to leave it.
    public var resizeBar: UInt64?
    /// Whether a BAR whose reads may have side effects is taken, which is what
    /// `bind --force` does.
    public var allowsSideEffects: Bool
    /// In the order of the file.
    public var namespaces: [ConfiguredNamespace]

    /// That file.
    public init(
        card: CardPattern, bar: Int? = nil, media: String = "volatile", resizeBar: UInt64? = nil,
        allowsSideEffects: Bool = false, namespaces: [ConfiguredNamespace] = []
    ) {
        self.card = card
        self.bar = bar
        self.media = media
        self.resizeBar = resizeBar
        self.allowsSideEffects = allowsSideEffects
        self.namespaces = namespaces
    }
}

/// A namespace as a file describes it.
public struct ConfiguredNamespace: Sendable, Equatable {
    /// Its lasting identity.
    public var uuid: NamespaceUUID
    /// The user's name, or empty.
    public var name: String
    /// How its pages can be reached.
    public var mode: Namespace.Mode
    /// Where its struct pages live; nil where there are none.
    public var map: Namespace.PageMap?
    /// The BAR; nil where the card has but one region.
    public var bar: Int?
    /// The number that it gets again where that is free.
    public var number: UInt32?
    /// Bytes from the start of the region.
    public var offset: UInt64
    /// Bytes.
    public var size: UInt64
    /// The file system that is made on it when it comes back without a recognised
    /// one: `ext4` or `xfs`.
    public var makeFilesystem: String?
    /// Whether drivers may allocate from it, for mode p2pdma.
    public var publish: Bool

    /// That namespace.
    public init(
        uuid: NamespaceUUID, name: String = "", mode: Namespace.Mode = .fsdax,
        map: Namespace.PageMap? = .mem, bar: Int? = nil, number: UInt32? = nil, offset: UInt64,
        size: UInt64, makeFilesystem: String? = nil, publish: Bool = false
    ) {
        self.uuid = uuid
        self.name = name
        self.mode = mode
        self.map = map
        self.bar = bar
        self.number = number
        self.offset = offset
        self.size = size
        self.makeFilesystem = makeFilesystem
        self.publish = publish
    }

    /// One that stands, as it is written down.
    public init(_ namespace: Namespace) {
        self.init(
            uuid: namespace.uuid, name: namespace.name, mode: namespace.mode, map: namespace.map,
            bar: namespace.bar, number: namespace.id, offset: namespace.offset,
            size: namespace.size, publish: namespace.isPublished ?? false)
    }

    /// Its bytes of the region.
    var range: Range<UInt64> { offset..<offset + size }
}

extension ConfiguredNamespace {
    /// How a message names it.
    var phrase: String { name.isEmpty ? "namespace \(uuid)" : "namespace \(name) (\(uuid))" }

    /// Its section of a file.
    var text: String {
        let settings: [(String, String?)] = [
            ("uuid", "\(uuid)"), ("name", name.isEmpty ? nil : name), ("mode", mode.rawValue),
            ("map", map?.rawValue), ("bar", bar.map { "\($0)" }),
            ("number", number.map { "\($0)" }), ("offset", ByteSize.exact(offset)),
            ("size", ByteSize.exact(size)), ("mkfs", makeFilesystem),
            ("publish", publish ? "yes" : nil),
        ]
        return CardFile.section("namespace", settings)
    }
}

extension CardFile {
    /// The whole file.
    public var text: String {
        let settings: [(String, String?)] = [
            ("path", card.path), ("id", "\(card.id)"),
            ("subsystem", card.subsystem.map { "\($0)" }), ("serial", card.serial),
            ("bar", bar.map { "\($0)" }), ("media", media),
            ("resize_bar", resizeBar.map(ByteSize.exact)),
            ("side_effects", allowsSideEffects ? "allowed" : nil),
        ]
        let sections = [Self.section("device", settings)] + namespaces.map(\.text)
        return """
            # What iopmem does with this card: see iopmem.conf(5).
            # After a change: iopmemctl config check

            """ + sections.joined(separator: "\n")
    }

    static func section(_ name: String, _ settings: [(key: String, value: String?)]) -> String {
        let lines = settings.compactMap { setting in
            setting.value.map { "\(setting.key) = \($0)\n" }
        }
        return "[\(name)]\n" + lines.joined()
    }
}
