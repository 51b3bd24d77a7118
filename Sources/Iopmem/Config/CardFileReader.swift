// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

extension CardFile {
    /// A file as it was read.
    public struct Reading: Sendable, Equatable {
        /// What it says; nil where something is wrong with it, since half of what
        /// somebody meant may be the opposite.
        public var file: CardFile?
        /// What is wrong, in the order of the text.
        public var objections: [ConfigObjection]
    }

    /// Reads a file.
    public static func read(_ text: ConfigText) -> Reading {
        var reader = CardFileReader(text)
        let file = reader.read()
        let objections = reader.objections.sorted {
            ($0.place.line, $0.place.column) < ($1.place.line, $1.place.column)
        }
        return Reading(file: objections.isEmpty ? file : nil, objections: objections)
    }
}

/// Makes sense of the sections of a file.
private struct CardFileReader {
    private let text: ConfigText
    private(set) var objections: [ConfigObjection]
    /// Where each namespace's section begins.
    private var places: [ConfigPlace] = []

    init(_ text: ConfigText) {
        self.text = text
        objections = text.objections
    }

    mutating func read() -> CardFile? {
        var devices: [ConfigText.Section] = []
        var namespaces: [ConfiguredNamespace] = []
        for section in text.sections {
            switch section.name {
            case "device":
                devices.append(section)
            case "namespace":
                guard let namespace = namespace(section) else { continue }
                namespaces.append(namespace)
                places.append(section.place)
            default:
                object(section.place, "[\(section.name)] is unknown: [device] or [namespace]")
            }
        }
        for another in devices.dropFirst() {
            object(another.place, "a second [device]: each card has a file of its own")
        }
        guard let section = devices.first else {
            // A text that has other mistakes may have meant one.
            if objections.isEmpty { object(ConfigPlace(line: 1, column: 1), "no [device]") }
            return nil
        }
        guard var file = device(section) else { return nil }
        file.namespaces = namespaces
        check(file, section)
        return file
    }

    private mutating func device(_ section: ConfigText.Section) -> CardFile? {
        var values = SectionReader(section)
        let path = values.take("path", as: Self.path, "0000:00:02.0/00.0")
        let id = values.take("id", as: PCIPair.init, "1af4:1110", isNeeded: true)
        let subsystem = values.take("subsystem", as: PCIPair.init, "1af4:1100")
        let serial = values.take("serial", as: Self.serial, "00-11-22-33-44-55-66-77")
        let bar = values.take("bar", as: Self.bar, "a number from 0 to 5")
        let media = values.take("media", as: Self.media, "volatile or persistent")
        let resizeBar = values.take(
            "resize_bar", as: { ByteSize.parse($0).flatMap { $0.nonzeroBitCount == 1 ? $0 : nil } },
            "a power of two, such as 16G")
        let sideEffects = values.take(
            "side_effects", as: { $0 == "allowed" || $0 == "refused" ? $0 == "allowed" : nil },
            "allowed or refused")
        objections += values.finish()
        guard let id else { return nil }
        return CardFile(
            card: CardPattern(path: path, id: id, subsystem: subsystem, serial: serial),
            bar: bar, media: media ?? "volatile", resizeBar: resizeBar,
            allowsSideEffects: sideEffects ?? false)
    }

    private mutating func namespace(_ section: ConfigText.Section) -> ConfiguredNamespace? {
        var values = SectionReader(section)
        let uuid = values.take(
            "uuid", as: NamespaceUUID.init, "a UUID, such as iopmemctl or uuidgen make",
            isNeeded: true)
        let name = values.take("name", refusing: CreateRequest.objection)
        let mode =
            values.take("mode", as: Self.mode, Self.words(Namespace.Mode.all.map(\.rawValue)))
            ?? .fsdax
        let map = values.take("map", as: Self.map, "mem or dev")
        if mode == .raw, map != nil {
            values.object("map", "map says where struct pages live, and mode raw has none")
        }
        let bar = values.take("bar", as: Self.bar, "a number from 0 to 5")
        let number = values.take(
            "number", as: { UInt32($0).flatMap { $0 > 0 ? $0 : nil } }, "a number from 1")
        let offset = values.take("offset", as: ByteSize.parse, "0 or 256M", isNeeded: true)
        let size = values.take("size", as: ByteSize.parse, "256M", isNeeded: true)
        for (key, value) in [("offset", offset), ("size", size)] {
            guard let value, !value.isMultiple(of: DriverNumber.align) else { continue }
            let align = ByteSize.exact(DriverNumber.align)
            let below = value / DriverNumber.align * DriverNumber.align
            let above = below.addingReportingOverflow(DriverNumber.align)
            let suggestion = ByteSize.exact(above.overflow ? below : above.partialValue)
            values.object(key, "\(key) is a multiple of \(align): \(suggestion)?")
        }
        if size == 0 { values.object("size", "a namespace of no bytes") }
        let mkfs = values.take(
            "mkfs", as: { ["ext4", "xfs"].contains($0) ? String($0) : nil }, "ext4 or xfs")
        if mkfs != nil, mode != .fsdax && mode != .raw {
            values.object("mkfs", "mode \(mode.rawValue) has no disk for a file system")
        }
        let publish = values.take(
            "publish", as: { ["yes": true, "no": false][$0] }, "yes or no")
        if publish != nil, mode != .p2pdma {
            values.object("publish", "only memory of mode p2pdma can be published")
        }
        if let offset, let size, offset.addingReportingOverflow(size).overflow {
            values.object("size", "offset and size end beyond 16 EiB")
        }
        objections += values.finish()
        guard let uuid, let offset, let size, values.isWhole else { return nil }
        return ConfiguredNamespace(
            uuid: uuid, name: name ?? "", mode: mode, map: mode == .raw ? nil : map ?? .mem,
            bar: bar, number: number, offset: offset, size: size, makeFilesystem: mkfs,
            publish: publish ?? false)
    }

    /// What each setting may be, and all of them together may not.
    private mutating func check(_ file: CardFile, _ section: ConfigText.Section) {
        if !file.namespaces.isEmpty, file.card.isGlob, file.card.serial == nil {
            object(
                section.place,
                "it may mean several cards, and a namespace is on one: give path or serial")
        }
        for (index, namespace) in file.namespaces.enumerated() {
            if namespace.makeFilesystem != nil, file.media == "persistent" {
                object(
                    places[index],
                    "mkfs on persistent media would make a file system where one was lost")
            }
            if let only = file.bar, let bar = namespace.bar, bar != only {
                object(places[index], "it is on BAR \(bar), and [device] takes only BAR \(only)")
            }
            for (earlier, other) in file.namespaces[..<index].enumerated() {
                guard let clash = Self.clash(namespace, other) else { continue }
                object(places[index], "\(clash) as the namespace in line \(places[earlier].line)")
            }
        }
    }

    private static func clash(
        _ one: ConfiguredNamespace, _ other: ConfiguredNamespace
    ) -> String? {
        if one.uuid == other.uuid { return "the same uuid" }
        if !one.name.isEmpty, one.name == other.name { return "the same name" }
        guard one.bar == other.bar || one.bar == nil || other.bar == nil else { return nil }
        if let number = one.number, number == other.number { return "the same number" }
        return one.range.overlaps(other.range) ? "some of the same bytes" : nil
    }

    private mutating func object(_ place: ConfigPlace, _ reason: String) {
        objections.append(ConfigObjection(place, reason))
    }

    // MARK: - Values

    private static func path(_ text: String) -> String? {
        let lower = text.lowercased()
        guard lower.allSatisfy({ $0.isHexDigit || ":./*?".contains($0) }) else { return nil }
        guard !lower.contains(where: { $0 == "*" || $0 == "?" }) else { return lower }
        let parts = lower.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let root = PCIAddress(first) else { return nil }
        let wires = parts.dropFirst().map { part in
            part.contains(":") ? nil : PCIAddress("0:\(part)").map { "\($0)".suffix(4) }
        }
        guard !wires.contains(nil) else { return nil }
        return (["\(root)"] + wires.compactMap { $0.map(String.init) }).joined(separator: "/")
    }

    private static func serial(_ text: String) -> String? {
        let parts = text.lowercased().split(separator: "-", omittingEmptySubsequences: false)
        let isSerial =
            parts.count == 8
            && parts.allSatisfy { $0.count == 2 && $0.allSatisfy(\.isHexDigit) }
        return isSerial ? text.lowercased() : nil
    }

    private static func bar(_ text: String) -> Int? {
        Int(text).flatMap { (0...5).contains($0) ? $0 : nil }
    }

    private static func media(_ text: String) -> String? {
        DriverNumber.media(text) == nil ? nil : text
    }

    private static func mode(_ text: String) -> Namespace.Mode? {
        Namespace.Mode.all.first { $0.rawValue == text }
    }

    private static func map(_ text: String) -> Namespace.PageMap? {
        [.mem, .dev].first { $0.rawValue == text }
    }

    private static func words(_ words: [String]) -> String {
        words.dropLast().joined(separator: ", ") + " or \(words.last ?? "")"
    }
}

/// Takes the settings of a section one by one; what nobody took is unknown.
struct SectionReader {
    private let section: ConfigText.Section
    private var objections: [ConfigObjection] = []
    private var known: [String] = []
    /// Nothing that was taken so far was wrong.
    private(set) var isWhole = true

    init(_ section: ConfigText.Section) {
        self.section = section
    }

    mutating func take<Value>(
        _ key: String, as convert: (String) -> Value?, _ example: String, isNeeded: Bool = false
    ) -> Value? {
        guard let setting = setting(key, isNeeded: isNeeded) else { return nil }
        if let value = convert(setting.value) { return value }
        object(key, "\(key) = \(setting.value): expected \(example)")
        return nil
    }

    mutating func take(_ key: String, refusing objection: (String) -> String?) -> String? {
        guard let setting = setting(key, isNeeded: false) else { return nil }
        guard let reason = objection(setting.value) else { return setting.value }
        object(key, "\(key) = \(setting.value): \(reason)")
        return nil
    }

    mutating func object(_ key: String, _ reason: String) {
        let place = section.settings.first { $0.key == key }?.valuePlace ?? section.place
        objections.append(ConfigObjection(place, reason))
        isWhole = false
    }

    private mutating func setting(_ key: String, isNeeded: Bool) -> ConfigText.Setting? {
        known.append(key)
        if let setting = section.settings.first(where: { $0.key == key }) { return setting }
        if isNeeded {
            objections.append(ConfigObjection(section.place, "[\(section.name)] has no \(key)"))
            isWhole = false
        }
        return nil
    }

    mutating func finish() -> [ConfigObjection] {
        for setting in section.settings where !known.contains(setting.key) {
            objections.append(
                ConfigObjection(
                    setting.place,
                    "\(setting.key) is unknown: [\(section.name)] has \(known.joined(separator: ", "))"
                ))
        }
        return objections
    }
}
