// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// `labels`, `restore` and `create --persist` as command lines.
@Suite("Labels on the command line")
struct LabelsCommandTests {
    @Test(
        "exit statuses",
        arguments: [
            ("labels init", 64), ("labels init 7f:00.0", 3), ("labels init 00:11.0", 3),
            ("labels init 00:10.0 --bar 7", 64), ("labels init 00:10.0 --bar 0", 3),
            ("labels init 00:10.0", 0), ("labels show 00:10.0", 0), ("labels check 00:10.0", 1),
            ("labels dump 00:10.0", 0), ("labels restore 00:10.0", 64),
            ("labels restore 00:10.0 --from /nothing", 1), ("labels nothing", 64),
            ("restore", 0), ("restore 00:10.0", 0), ("restore 7f:00.0", 3), ("restore card", 64),
        ] as [(String, Int32)])
    func statuses(line: String, status: Int32) throws {
        let session = try session()
        #expect(session.run(line).status == status, "\(session.talk)")
    }

    @Test("without root nothing can be seen or changed")
    func unprivileged() throws {
        let session = try session()
        session.host.isPrivileged = false
        for verb in ["init", "show", "check", "dump"] {
            #expect(session.run("labels \(verb) 00:10.0").status == 5)
        }
        #expect(session.run("restore 00:10.0").status == 5)
    }

    @Test("show without an area is the empty object, with the way to one on stderr")
    func showEmpty() throws {
        let session = try session().run("labels show 00:10.0 -o json")
        #expect(session.status == 0)
        #expect(session.output.contains(#""labels" : ["#))
        #expect(session.output.contains(#""schema" : 1"#))
        #expect(session.talk.contains("iopmemctl labels init 0000:00:10.0"))
    }

    @Test("show, as a table and as JSON")
    func show() throws {
        let session = try labelled()
        var uuids = ["AREA": "", "FIRST": "", "SECOND": ""]
        let area = session.run("labels show 00:10.0").output.split(separator: " ")
        uuids["AREA"] = area.dropFirst(6).first.map { String($0.dropLast()) }
        let namespaces = try Inventory(root: session.host.root).namespaces
        uuids["FIRST"] = namespaces.first.map { "\($0.uuid)" }
        uuids["SECOND"] = namespaces.last.map { "\($0.uuid)" }
        func plain(_ text: String) -> String {
            uuids.reduce(text) { $0.replacingAll($1.value, with: $1.key) }
        }
        try expectSnapshot(plain(session.output), named: "labels-show")
        session.run("labels show 00:10.0 -o json")
        try expectSnapshot(plain(session.output), named: "labels-show.json")
    }

    @Test("init over labels asks for the device's name, and --yes does not")
    func confirmation() throws {
        let session = try labelled()
        let memory = session.host.memory
        #expect(session.run("labels init 00:10.0 --force").status == 1)
        #expect(session.talk.contains("no terminal"))
        session.answer = "yes"
        #expect(session.run("labels init 00:10.0 --force").status == 1)
        #expect(session.host.memory == memory)
        session.answer = "0000:00:10.0"
        #expect(session.run("labels init 00:10.0 --force").status == 0)
        session.answer = nil
        #expect(session.run("labels init 00:10.0 --force --yes").status == 0)
        #expect(session.run("labels init 00:10.0 --force --dry-run").status == 0)
        #expect(session.run("labels check 00:10.0").status == 0)
    }

    @Test("dump to a file and restore from it")
    func dump() throws {
        let session = try labelled()
        #expect(session.run("labels dump 00:10.0 --to /dump").status == 0)
        #expect(session.run("labels dump 00:10.0 --to /dump").status == 1)
        #expect(session.talk.contains("--force"))
        #expect(session.run("labels dump 00:10.0 --to /dump --force").status == 0)
        #expect(
            try session.host.root.bytes("/dump") == session.host.memory["0000:00:10.0"])
        #expect(session.run("labels restore 00:10.0 --from /dump").status == 0)
        #expect(session.talk.contains("has these labels already"))
        session.run("unbind 00:10.0")
        session.host.memory = [:]
        session.run("bind 00:10.0")
        #expect(session.run("labels restore 00:10.0 --from /dump").status == 0)
        #expect(session.run("restore 00:10.0 -o json").status == 0)
        #expect(session.output.contains(#""name" : "first""#))
        #expect(session.output.contains(#""name" : "second""#))
    }

    @Test("dump to stdout is the bytes and nothing else, and there is no JSON of them")
    func dumpToStandardOutput() throws {
        let session = try labelled()
        #expect(session.run("labels dump 00:10.0").status == 0)
        #expect(session.output.isEmpty)
        #expect(session.bytes == session.host.memory["0000:00:10.0"])
        #expect(session.run("labels dump 00:10.0 -o json").status == 64)
        #expect(session.output.isEmpty && session.bytes.isEmpty)
        #expect(session.talk.contains("iopmemctl labels show BDF -o json"))
    }

    @Test("of several labels, some restored and some not is exit 8, each reported")
    func some() throws {
        let session = try labelled()
        session.run("unbind 00:10.0")
        session.host.memory["0000:00:10.0"]?[0x40050] ^= 1
        #expect(session.run("restore 00:10.0 -o json").status == 8)
        #expect(session.output.contains(#""name" : "second""#))
        #expect(session.talk.contains("the label in slot 0"))
        #expect(session.run("labels check 00:10.0").status == 1)
        #expect(session.talk.contains("remedy: put a dump back"))
    }

    @Test(
        "help",
        arguments: [
            "labels", "labels init", "labels show", "labels check", "labels dump",
            "labels restore", "restore",
        ])
    func help(command: String) throws {
        let session = try Session(.twoCards).run("\(command) --help")
        #expect(session.status == 0)
        try expectSnapshot(
            session.output, named: "help-" + command.replacingAll(" ", with: "-"))
    }

    /// The first card is bound.
    private func session() throws -> Session {
        let session = try Session(.twoCards)
        #expect(session.run("bind 00:10.0").status == 0)
        return session
    }

    /// It has two namespaces with labels.
    private func labelled() throws -> Session {
        let session = try session()
        session.run("labels init 00:10.0")
        session.run("create --device 00:10.0 --size 64M --name first --persist")
        session.run("create --device 00:10.0 --size 32M --name second --mode raw")
        #expect(session.status == 0)
        return session
    }
}
