// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemCommands
import IopmemSystem
import Support
import Testing

/// What goes to stdout and stderr, word for word.
@Suite("Output")
struct OutputTests {
    @Test("an empty list is the same object as a full one, and exit 0")
    func emptyList() throws {
        let session = try Session(.twoCards).run("list -o json")
        #expect(session.status == 0)
        #expect(session.talk.isEmpty)
        try expectSnapshot(session.output, named: "list-empty.json")
    }

    @Test("list as JSON")
    func listJSON() throws {
        let session = try mounted().run("list -o json")
        #expect(session.talk.isEmpty)
        try expectSnapshot(session.output, named: "list.json")
    }

    @Test("list as a table")
    func listTable() throws {
        try expectSnapshot(try mounted().run("list").output, named: "list")
    }

    @Test("list tells which sizes a new namespace can have in each mode")
    func capabilities() throws {
        let session = try Session(.twoCards)
        session.run("bind 00:10.0 -q")
        session.run("bind 00:11.0 -q")
        try expectSnapshot(session.run("list -C").output.lines(2...8), named: "list-capabilities")
        #expect(session.run("list -o json").output.contains(#""max_size" : 268435456"#))
        // A driver that does not say.
        let silent = try mounted().run("list --capabilities")
        #expect(silent.output.contains("iopmem0  unknown"))
        #expect(!silent.run("list -o json").output.contains("capabilities"))
    }

    @Test("list of one namespace has only it and its region")
    func listOne() throws {
        let session = try mounted().run("list scratch -o json")
        #expect(session.output.contains("iopmem0n1"))
        #expect(!session.output.contains("iopmem0n2"))
    }

    @Test("devices as JSON")
    func devicesJSON() throws {
        let session = try Session(.twoCards).run("devices 00:10.0 00:12.0 -o json")
        #expect(session.talk.isEmpty)
        // The words come from this machine's PCI id database, if it has one.
        let lines = session.output.split(separator: "\n").filter { !$0.contains("description") }
        try expectSnapshot(lines.joined(separator: "\n") + "\n", named: "devices.json")
    }

    @Test("a bound device's JSON is devices' own")
    func bindJSON() throws {
        let session = try Session(.twoCards)
        session.run("bind 00:10.0 -o json")
        let bound = session.output
        #expect(bound.contains(#""region" : "iopmem0""#))
        #expect(session.run("devices 00:10.0 -o json").output == bound)
        #expect(session.run("bind 00:10.0 -o json").output == bound)
    }

    @Test("create prints the one namespace that it made")
    func createJSON() throws {
        let session = try Session(.twoCards)
        session.run("create --device 00:10.0 --size 64M --name scratch -o json -q")
        let uuid = try #require(try Inventory(root: session.host.root).namespaces.first?.uuid)
        try expectSnapshot(
            session.output.replacingAll("\(uuid)", with: "UUID"), named: "create.json")
        #expect(session.talk.isEmpty)
    }

    @Test("a dry run of create prints the empty object")
    func dryRun() throws {
        let session = try Session(.twoCards).run("create --device 00:10.0 --dry-run -o json")
        #expect(session.output.contains(#""namespaces" : ["#))
        #expect(session.talk.contains("would create"))
    }

    @Test("doctor as JSON has the contract's keys, and a problem is exit 1")
    func doctor() throws {
        let session = try Session(.twoCards)
        session.run("doctor 00:12.0 -o json")
        #expect(session.status == 1)
        for key in ["checks", "id", "status", "subject", "finding", "remedy"] {
            #expect(session.output.contains("\"\(key)\" : "))
        }
        #expect(session.output.contains(#""status" : "problem""#))
    }

    @Test("an error as JSON has code, message and remedy, and stdout stays empty")
    func errorJSON() throws {
        let session = try Session(.twoCards).run("list nothing -o json")
        #expect(session.output.isEmpty)
        try expectSnapshot(session.talk, named: "error.json")
    }

    @Test("wrong usage is JSON too where JSON was asked for")
    func usageJSON() throws {
        for line in ["bind -o json", "lst --output=json", "create --size 0 -ojson"] {
            let session = try Session(.twoCards).run(line)
            #expect(session.status == 64)
            #expect(session.talk.hasPrefix("{"))
            #expect(session.talk.contains(#""code" : "usage""#))
        }
    }

    @Test("monitor tells one event a line, as words or as an object")
    func monitor() throws {
        for (line, name) in [("monitor", "monitor"), ("monitor -o json", "monitor.json")] {
            let session = try mounted()
            session.host.news = [
                .event(
                    .init(action: "add", subsystem: "block", name: "iopmem0n1", path: Self.path)),
                .event(
                    .init(
                        action: "change", subsystem: "iopmem", name: "iopmem0n1", path: Self.path,
                        properties: ["IOPMEM_EVENT": "dying", "IOPMEM_OPENERS": "3"])),
                .lost,
            ]
            session.run(line)
            #expect(session.status == 0)
            #expect(session.talk == "following events; stop with Ctrl-C\n")
            try expectSnapshot(session.output, named: name)
        }
    }
    private static let path = "/devices/pci0000:00/0000:03:00.0/iopmem/iopmem0/iopmem0n1"

    @Test("topology as JSON, with exit 0 whatever the verdict")
    func topologyJSON() throws {
        let session = try Session(.mounted).run("topology --client 04:00.0 -o json")
        #expect(session.status == 0)
        #expect(session.talk.isEmpty)
        try expectSnapshot(session.output, named: "topology.json")
        let empty = try Session(.mounted).run("topology --client 03:00.0 -o json")
        #expect(empty.status == 0)
        #expect(empty.output.contains(#""pairs" : ["#))
        #expect(try Session(.mounted).run("topology --client 7f:00.0").status == 3)
    }

    @Test("topology for people has the tree, the verdicts, and each reason once")
    func topologyTable() throws {
        let text = try Session(.mounted).run(
            "topology --client 04:00.0 --client 02:01.0 --client 00:1f.2"
        ).output
        #expect(text.hasPrefix("pci0000:00\n├─ 0000:00:10.0 "))
        #expect(text.contains("\n│     └─ 0000:02:01.0 ") || text.contains("0000:02:01.0 "))
        #expect(text.contains("[provider; iopmem]"))
        #expect(text.contains("[client; nvme]"))
        #expect(text.contains("0000:03:00.0  0000:00:1f.2  not_supported         5  none"))
        #expect(text.components(of: "only root can see").count == 2 + 1)
        #expect(text.components(of: "remedy: run it as root").count == 2 + 1)
    }

    @Test("topology for Graphviz names every function on the way, and no other command draws")
    func topologyDot() throws {
        let session = try Session(.mounted).run("topology --client 04:00.0 -o dot")
        #expect(session.status == 0)
        #expect(session.output.hasPrefix("digraph topology {\n"))
        #expect(session.output.hasSuffix("}\n"))
        for name in ["00:10.0", "01:00.0", "02:00.0", "02:01.0", "03:00.0", "04:00.0"] {
            #expect(session.output.contains("\"0000:\(name)\" [label="), "\(name)")
        }
        #expect(session.output.contains("\"0000:03:00.0\" -> \"0000:04:00.0\" ["))
        let refused = try Session(.mounted).run("list -o dot")
        #expect(refused.status == 64)
        #expect(refused.output.isEmpty)
    }

    @Test("metrics are in Prometheus' format, and have no other")
    func metrics() throws {
        let session = try mounted()
        let text = String(decoding: session.run("metrics").bytes, as: UTF8.self)
        try expectSnapshot(text, named: "metrics")
        for line in ["metrics -o json", "metrics -o json --to /m.prom"] {
            session.run(line)
            #expect(session.status == 64)
            #expect(session.bytes.isEmpty && session.output.isEmpty)
            #expect(session.talk.contains(#""code" : "usage""#))
            #expect(session.talk.contains("iopmemctl list -o json"))
        }
        #expect(!session.host.root.exists("/m.prom"))
    }

    @Test("-v tells the steps on stderr, -q silences notes, errors are always told")
    func verbosity() throws {
        let loud = try Session(.twoCards).run("create --device 00:10.0 -v")
        #expect(loud.talk.contains("driver_override"))
        #expect(loud.talk.contains("RAM for the struct pages"))
        let quiet = try Session(.twoCards).run("create --device 00:10.0 -q")
        #expect(quiet.talk.isEmpty)
        #expect(!quiet.output.isEmpty)
        #expect(!(try Session(.twoCards).run("create --device 7f:00.0 -q").talk.isEmpty))
    }

    @Test(
        "help",
        arguments: [
            "", "devices", "bind", "unbind", "create", "list", "destroy", "verify", "doctor",
            "topology", "wait", "monitor", "share", "unshare", "labels", "restore", "config",
            "metrics", "inject-error",
        ])
    func help(command: String) throws {
        let session = try Session(.twoCards).run("\(command) --help")
        #expect(session.status == 0)
        try expectSnapshot(
            session.output, named: "help" + (command.isEmpty ? "" : "-\(command)"))
    }

    @Test("a table lines up, shows a dash for nothing, and has no space at line ends")
    func table() {
        var table = Table(.text("NAME"), .number("SIZE"), .text("NOTE"))
        table.add("a", "10", "")
        table.add("longer", "2", "x")
        #expect(
            table.rendered() == """
                NAME    SIZE  NOTE
                a         10  -
                longer     2  x
                """)
        #expect(table.rendered(styled: true).hasPrefix("\u{1b}[1mNAME"))
    }

    @Test("every error code has a status of the contract")
    func codes() {
        let allowed: Set<Int32> = [1, 3, 4, 5, 6, 7, 8, 64, 130]
        for code in IopmemError.Code.allCases {
            #expect(allowed.contains(IopmemError(code, "x").exitStatus))
        }
        #expect(IopmemError(.interrupted, "x", signal: 15).exitStatus == 143)
    }

    /// A machine with a mounted and a partitioned namespace, seen by root.
    private func mounted() throws -> Session {
        let session = try Session(.mounted)
        session.host.nodeSignatures["/dev/iopmem0n1"] = [
            Signature(
                kind: .superblock, type: "ext4", uuid: "83fd0053-da46-4884-b139-98e0752e296f")
        ]
        session.host.processAnswers = [
            [ProcessHolder(pid: 7, name: "fio", device: DeviceNumber(major: 259, minor: 1))]
        ]
        return session
    }
}

extension String {
    func lines(_ range: ClosedRange<Int>) -> String {
        let lines = split(separator: "\n", omittingEmptySubsequences: false)
        return lines[range.clamped(to: 0...lines.count - 1)].map { "\($0)\n" }.joined()
    }

    func components(of separator: String) -> [Substring] {
        var rest = self[...]
        var parts: [Substring] = []
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return parts + [rest]
    }

    func replacingAll(_ old: String, with new: String) -> String {
        var rest = self[...]
        var result = ""
        while let range = rest.firstRange(of: old) {
            result += rest[..<range.lowerBound] + new
            rest = rest[range.upperBound...]
        }
        return result + rest
    }
}
