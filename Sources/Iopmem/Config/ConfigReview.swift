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
        /// How many namespaces it describes; nil if it is wrong.
        public var namespaces: Int?
        /// The functions that it means.
        public var devices: [PCIAddress]
        /// Why a function in the place that it names is not the one that it means.
        public var impostors: [String]

        /// In a few words.
        public var verdict: String {
            if !objections.isEmpty { return "wrong" }
            if !impostors.isEmpty { return "another card is there" }
            return devices.isEmpty ? "matches no card" : "ok"
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

    /// Looks at these files; without any, at all in the folder.
    public init(root: SystemRoot, files names: [String] = []) throws(IopmemError) {
        var entries: [CardFolder.Entry] = []
        if names.isEmpty { entries = try CardFolder(root: root).entries }
        for name in names { entries.append(try CardFolder.entry(name, root: root)) }
        let cards = try DeviceList(root: root).devices.map {
            ($0.address, CardIdentity($0, root: root))
        }
        for entry in entries {
            var file = File(
                path: entry.path, objections: entry.reading.objections,
                namespaces: entry.reading.file?.namespaces.count, devices: [], impostors: [])
            for (address, card) in cards {
                switch entry.reading.file?.card.verdict(on: card) {
                case .match: file.devices.append(address)
                case .impostor(let differences):
                    file.impostors.append(
                        "\(address) is in its place: \(differences.joined(separator: ", "))")
                case .other, nil: break
                }
            }
            files.append(file)
        }
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
