// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// `config` and what is written to /etc/iopmem, as command lines.
@Suite("Configuration on the command line")
struct ConfigCommandTests {
    private func session() throws -> Session {
        let session = try Session(.twoCards)
        try session.host.tree.makeDirectory("/etc/iopmem")
        return session
    }

    private static let wrong = """
        # by hand
        [device]
        id = 1af4:1110
        bars = 2
        [namespace]
        uuid = 1
        offset = 0
        size = 3M
        """

    @Test(
        "exit statuses",
        arguments: [
            ("config", 0), ("config check", 0), ("config check /nothing", 1), ("config match", 64),
            ("config match card", 64), ("config match 7f:00.0", 3), ("config match 00:10.0", 3),
            ("config nothing", 64), ("bind 00:10.0 --persist", 0),
            ("create --device 00:10.0 --persist", 0),
        ] as [(String, Int32)])
    func statuses(line: String, status: Int32) throws {
        let session = try session()
        #expect(session.run(line).status == status, "\(session.talk)")
    }

    @Test("what bind and create wrote is right, means the card, and is not there for another")
    func written() throws {
        let session = try session()
        #expect(session.run("bind 00:10.0 --media persistent --persist").status == 0)
        #expect(session.talk.contains("/etc/iopmem/0000:00:10.0.conf has it"))
        #expect(
            session.run("create --device 00:10.0 --size 64M --name files --persist").status == 0)
        #expect(session.run("config match 00:10.0").output == "/etc/iopmem/0000:00:10.0.conf\n")
        #expect(session.run("config match 00:11.0").status == 3)
        let uuid = try #require(try Inventory(root: session.host.root).namespaces.first).uuid
        let text = try session.host.root.text("/etc/iopmem/0000:00:10.0.conf")
        try expectSnapshot(
            text.replacing("\(uuid)", with: "00000000-0000-0000-0000-000000000000") + "\n",
            named: "card.conf")
        #expect(session.run("config check").status == 0)
    }

    @Test("check, as a table and as JSON")
    func check() throws {
        let session = try session()
        #expect(session.run("config check").output.contains("nothing comes back at boot"))
        session.run("bind 00:10.0 --persist")
        try session.host.tree.write(Self.wrong, to: "/etc/iopmem/b.conf")
        try session.host.tree.write(
            "[device]\npath = 00:11.0\nid = 8086:0001\n", to: "/etc/iopmem/c.conf")
        try session.host.tree.write("[device]\nid = 8086:0002\n", to: "/etc/iopmem/d.conf")
        try session.host.tree.write("not read", to: "/etc/iopmem/README")
        #expect(session.run("config check").status == 1)
        try expectSnapshot(session.output, named: "config-check")
        #expect(session.run("config check -o json").status == 1)
        try expectSnapshot(session.output, named: "config-check.json")
        #expect(session.run("config match 00:11.0").status == 1)
        #expect(session.talk.contains("is not the card that /etc/iopmem/c.conf describes"))
    }

    @Test("help", arguments: ["", "check", "match"])
    func help(verb: String) throws {
        let session = try session().run("config \(verb) --help")
        #expect(session.status == 0)
        try expectSnapshot(
            session.output, named: "help-config" + (verb.isEmpty ? "" : "-\(verb)"))
    }
}
