// SPDX-License-Identifier: GPL-2.0
import FoundationEssentials
import Iopmem
import IopmemSystem
import IopmemVerify
import Support
import Testing

/// docs/json.md, against what the commands print.
@Suite("Documented JSON")
struct DocumentedJSONTests {
    private static let folder = String(
        #filePath.dropLast("DocumentedJSONTests.swift".count))

    /// The words in backquotes, by the heading that they stand under; "" for what comes before.
    private let documented: [String: Set<String>]

    init() throws {
        let page = try SystemRoot.machine.bytes("\(Self.folder)../../docs/json.md")
        var words: [String: Set<String>] = [:]
        var section = ""
        for line in String(decoding: page, as: UTF8.self).split(separator: "\n") {
            if line.hasPrefix("## ") { section = String(line.dropFirst(3)) }
            let quoted = line.split(separator: "`", omittingEmptySubsequences: false)
                .enumerated().filter { !$0.offset.isMultiple(of: 2) }
            words[section, default: []].formUnion(quoted.map { String($0.element) })
        }
        documented = words
    }

    @Test("every key of a snapshot is described", arguments: try Self.snapshots())
    func snapshot(name: String) throws {
        let text = String(
            decoding: try SystemRoot.machine.bytes("\(Self.folder)Snapshots/\(name)"),
            as: UTF8.self)
        // One document, or one in each line.
        let documents =
            text.hasPrefix("{\n") ? [text] : text.split(separator: "\n").map(String.init)
        for document in documents { #expect(try undocumented(document) == []) }
    }

    private static func snapshots() throws -> [String] {
        try SystemRoot.machine.entries("\(folder)Snapshots").filter { $0.hasSuffix(".json.txt") }
    }

    @Test("so is every key that the other commands print, and every word of a fixed set")
    func live() throws {
        #expect(try Self.snapshots().count >= 8)
        let session = try Session(.mounted)
        try session.host.tree.write("[share]\naddress = x\n", to: "/etc/iopmem/shares/x.conf")
        try session.host.tree.write("[device]\nid = 1af4:1110\n", to: "/etc/iopmem/a.conf")
        let folder = try TemporaryDirectory()
        for line in [
            "doctor", "doctor 03:00.0 04:00.0", "config check", "config match 03:00.0",
            "list", "devices", "topology", "verify \(folder.path)/data --size 64K", "list nothing",
        ] {
            session.run("\(line) -o json")
            let document = session.output.isEmpty ? session.talk : session.output
            #expect(try undocumented(document) == [], "\(line)")
            #expect(!ids(in: document).contains { documented["checks"]?.contains($0) != true })
        }
        let free = try Session(.twoCards)
        for line in [
            "bind 00:10.0", "list", "labels show 00:10.0", "labels check 00:10.0",
            "labels init 00:10.0", "labels check 00:10.0", "create --device 00:10.0 --name a",
            "labels show 00:10.0", "share a", "unshare a",
        ] {
            free.run("\(line) -o json")
            #expect(try undocumented(free.output) == [], "\(line)")
            #expect(!ids(in: free.output).contains { documented["checks"]?.contains($0) != true })
        }
        let words: [(String, [String])] = [
            ("error", IopmemError.Code.allCases.map(\.rawValue)),
            ("event", MachineEvent.Kind.allCases.map(\.rawValue)),
            ("verify", Mismatch.Kind.allCases.map(\.rawValue)),
            ("namespaces", Namespace.Mode.all.map(\.rawValue)),
        ]
        for (section, values) in words {
            for value in values {
                #expect(documented[section]?.contains(value) == true, "\(section): \(value)")
            }
        }
    }

    @Test("a key that is not described is found, wherever it stands")
    func unknown() throws {
        #expect(
            try undocumented(#"{"schema": 1, "namespaces": [{"dev": "x", "cache": {"new": 1}}]}"#)
                == ["namespaces: new"])
        #expect(try undocumented(#"{"schema": 1, "others": []}"#) == ["others"])
        #expect(try undocumented(#"{"schema": 1, "event": "lost", "size": 1}"#) == ["event: size"])
    }

    /// Keys, each with the heading that it is missing under.
    private func undocumented(_ document: String) throws -> [String] {
        let tree = try JSONDecoder().decode(JSONTree.self, from: Data(document.utf8))
        guard case .object(var top) = tree, top.removeValue(forKey: "schema") != nil else {
            return ["schema"]
        }
        if top["event"] != nil { top = ["event": .object(top)] }
        var missing: [String] = []
        for (key, value) in top {
            guard documented[""]?.contains(key) == true else {
                missing.append(key)
                continue
            }
            let section = key == "area" ? "labels" : key
            missing += value.keys.filter { documented[section]?.contains($0) != true }
                .map { "\(section): \($0)" }
        }
        return missing.sorted()
    }

    private func ids(in document: String) -> [String] {
        document.components(of: #""id" : ""#).dropFirst().map { String($0.prefix { $0 != "\"" }) }
    }
}

/// JSON of any shape, of which only the keys are looked at.
private indirect enum JSONTree: Decodable {
    case object([String: JSONTree])
    case array([JSONTree])
    case leaf

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let object = try? container.decode([String: JSONTree].self) {
            self = .object(object)
        } else if let array = try? container.decode([JSONTree].self) {
            self = .array(array)
        } else {
            self = .leaf
        }
    }

    /// All keys in it, but for those that are numbers (fio's percentiles and bins) and those of
    /// fio's options.
    var keys: Set<String> {
        switch self {
        case .leaf: []
        case .array(let elements): elements.reduce(into: []) { $0.formUnion($1.keys) }
        case .object(let members):
            members.filter { Double($0.key) == nil }.reduce(into: []) { keys, member in
                keys.insert(member.key)
                if member.key != "job options" { keys.formUnion(member.value.keys) }
            }
        }
    }
}
