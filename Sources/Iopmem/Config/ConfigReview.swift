// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// What can be said of configuration files on this machine.
public struct ConfigReview: Sendable, Equatable {
    /// A file, and what it means here.
    public struct File: Sendable, Equatable {
        /// Where it is.
        public var path: String
        /// What is wrong with it.
        public var objections: [ConfigObjection]
        /// How many namespaces it describes, or exports; nil if it is wrong.
        public var namespaces: Int?
        /// The functions that it means.
        public var devices: [PCIAddress]
        /// Why a function in the place that it names is not the one that it means.
        public var impostors: [String]

        /// In a few words.
        public var verdict: String {
            if !objections.isEmpty { return "wrong" }
            if !impostors.isEmpty { return "another card is there" }
            guard devices.isEmpty else { return "ok" }
            return isShare ? "matches no namespace" : "matches no card"
        }

        /// What says how a namespace is exported, and not what a card holds.
        var isShare: Bool = false

        /// Of the whole file.
        fileprivate mutating func object(_ reason: String) {
            objections.append(ConfigObjection(ConfigPlace(line: 1, column: 1), reason))
            namespaces = nil
        }

        /// As sentences, with the file's name in front.
        public var complaints: [String] {
            objections.map { $0.sentence(in: path) } + impostors.map { "\(path): \($0)" }
        }
    }

    /// In the order in which they were named, or by name.
    public var files: [File] = []

    /// Whether nothing is wrong with any of them. A card that is not there may be
    /// plugged in later, so that is not wrong.
    public var isRight: Bool { files.allSatisfy { $0.objections.isEmpty && $0.impostors.isEmpty } }

    /// Looks at these files; without any, at all in the folders.
    public init(root: SystemRoot, files names: [String] = []) throws(IopmemError) {
        var paths = names
        if names.isEmpty {
            for folder in [CardFolder.path, ShareFile.folder] {
                paths += try CardFolder.files(in: folder, root: root)
            }
        }
        let cards = try DeviceList(root: root).devices.map {
            ($0.address, CardIdentity($0, root: root))
        }
        var uuids: [NamespaceUUID: String] = [:]
        for path in paths {
            let text: ConfigText
            do throws(IopmemError) {
                text = try CardFolder.text(path, root: root)
            } catch {
                guard names.isEmpty else { throw error }
                files.append(Self.unreadable(path, error))
                continue
            }
            if Self.isShare(path, text) {
                files.append(try Self.share(path, text, root: root))
            } else {
                var file = Self.card(path, text, among: cards)
                for namespace in CardFile.read(text).file?.namespaces ?? [] {
                    if let other = uuids.updateValue(path, forKey: namespace.uuid), other != path {
                        file.object("\(other) describes the namespace \(namespace.uuid), too")
                    }
                }
                for device in file.devices {
                    for other in files where other.devices.contains(device) && !other.isShare {
                        file.object(
                            "\(other.path) means \(device), too, so that neither is believed")
                    }
                }
                files.append(file)
            }
        }
    }

    private static func unreadable(_ path: String, _ error: IopmemError) -> File {
        var file = File(path: path, objections: [], namespaces: nil, devices: [], impostors: [])
        file.object(error.message)
        return file
    }

    /// A draft may be anywhere.
    private static func isShare(_ path: String, _ text: ConfigText) -> Bool {
        path.hasPrefix("\(ShareFile.folder)/") || text.sections.first?.name == "share"
    }

    private static func card(
        _ path: String, _ text: ConfigText, among cards: [(PCIAddress, CardIdentity)]
    ) -> File {
        let reading = CardFile.read(text)
        var file = File(
            path: path, objections: reading.objections,
            namespaces: reading.file?.namespaces.count, devices: [], impostors: [])
        for (address, card) in cards {
            switch reading.file?.card.verdict(on: card, among: cards.map(\.1)) {
            case .match: file.devices.append(address)
            case .impostor(let differences):
                file.impostors.append(
                    "\(address) is in its place: \(differences.joined(separator: ", "))")
            case .other, nil: break
            }
        }
        return file
    }

    /// Its name says which namespace it exports.
    private static func share(
        _ path: String, _ text: ConfigText, root: SystemRoot
    ) throws(IopmemError) -> File {
        let reading = ShareFile.reading(of: text)
        var file = File(
            path: path, objections: reading.objections,
            namespaces: reading.file == nil ? nil : 1, devices: [], impostors: [], isShare: true)
        guard path.hasPrefix("\(ShareFile.folder)/") else { return file }
        let name = String(path.dropFirst(ShareFile.folder.count + 1).dropLast(".conf".count))
        guard let uuid = NamespaceUUID(name) else {
            file.objections.append(
                ConfigObjection(
                    ConfigPlace(line: 1, column: 1),
                    "\(name) is no UUID: the file's name says which namespace is exported"))
            file.namespaces = nil
            return file
        }
        let namespaces = try Inventory(root: root).namespaces
        file.devices = namespaces.filter { $0.uuid == uuid }.map(\.device)
        return file
    }
}

extension ConfigReview.File: Encodable {
    private enum CodingKeys: String, CodingKey {
        case path, verdict, devices, namespaces, objections, impostors
    }

    /// The object of `config check -o json`'s "files".
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(path, forKey: .path)
        try container.encode(verdict, forKey: .verdict)
        try container.encode(devices, forKey: .devices)
        try container.encodeIfPresent(namespaces, forKey: .namespaces)
        try container.encode(objections, forKey: .objections)
        try container.encode(impostors, forKey: .impostors)
    }
}

extension ConfigObjection: Encodable {
    private enum CodingKeys: String, CodingKey { case line, column, reason }

    /// Flat, as editors take it.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(place.line, forKey: .line)
        try container.encode(place.column, forKey: .column)
        try container.encode(reason, forKey: .reason)
    }
}
