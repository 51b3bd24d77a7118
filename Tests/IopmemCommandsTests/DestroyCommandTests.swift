// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// What `destroy` asks, and what it does with the answer.
@Suite("Confirmation")
struct DestroyCommandTests {
    @Test("without a terminal and without --yes it fails and says so")
    func noTerminal() throws {
        let session = try session()
        session.run("destroy iopmem0n1")
        #expect(session.status == 1)
        #expect(session.talk.contains("no terminal"))
        #expect(session.talk.contains("--yes"))
        #expect(session.host.removals.isEmpty)
    }

    @Test("on a terminal only the typed name agrees", arguments: ["", "y", "yes", "iopmem0n2"])
    func wrongAnswer(answer: String) throws {
        let session = try session()
        session.answer = answer
        #expect(session.run("destroy iopmem0n1").status == 1)
        #expect(session.host.removals.isEmpty)
        session.answer = "iopmem0n1"
        #expect(session.run("destroy iopmem0n1").status == 0)
        #expect(session.host.removals.count == 1)
    }

    @Test("--yes does not ask")
    func yes() throws {
        let session = try session()
        #expect(session.run("destroy iopmem0n1 --yes").status == 0)
        #expect(session.talk == "destroyed iopmem0n1\n")
    }

    @Test("--yes alone is not enough where a file system is recognised")
    func fileSystem() throws {
        let session = try session()
        session.host.nodeSignatures["/dev/iopmem0n1"] = [Signature(kind: .superblock, type: "xfs")]
        #expect(session.run("destroy iopmem0n1 --yes").status == 1)
        #expect(session.talk.contains("xfs"))
        #expect(session.talk.contains("--force"))
        #expect(session.host.removals.isEmpty)
        #expect(session.run("destroy iopmem0n1 --yes --force").status == 0)
    }

    @Test("--force alone still asks")
    func forceAsks() throws {
        let session = try session()
        #expect(session.run("destroy iopmem0n1 --force").status == 1)
        #expect(session.host.removals.isEmpty)
    }

    @Test("who is asked sees what it is, whose, what is on it, and who loses it")
    func question() throws {
        let session = try Session(.mounted)
        for name in ["iopmem0", "iopmem0n1"] { try session.host.tree.write("", to: "/dev/\(name)") }
        session.host.nodeSignatures["/dev/iopmem0n1"] = [
            Signature(kind: .superblock, type: "ext4", label: "data")
        ]
        let root = session.host.root
        let namespace = try Inventory(root: root).namespace(named: "scratch", root: root)
        let device = try DeviceList(root: root).device(at: namespace.device)
        session.answer = "no"
        #expect(session.run("destroy scratch --force --revoke").status == 1)
        let question = try #require(session.questions.first)
        #expect(session.questions.count == 1)
        for fact in [
            "iopmem0n1 scratch: ", ByteSize.display(namespace.size), "fsdax",
            "UUID \(namespace.uuid)", "on BAR 2 of 0000:03:00.0, \(device.name)",
            #"file system ext4 "data", mounted on /tmp/my mount"#,
            "It is mounted on /tmp/my mount, and will be taken away.",
            "Type iopmem0n1 to destroy it: ",
        ] {
            #expect(question.contains(fact), "\(fact) in \(question)")
        }
        #expect(session.host.removals.isEmpty)
    }

    @Test(
        "what would do nothing is taken, and not shown",
        arguments: [
            ("bind 00:10.0", "--yes"), ("create --device 00:10.0 --size 2M", "--yes"),
            ("restore", "--yes"), ("unbind 00:10.0", "--force"), ("share iopmem0n1", "--yes"),
            ("share iopmem0n1", "--force"), ("unshare iopmem0n1", "--yes"),
            ("unshare iopmem0n1", "--force"),
            ("inject-error iopmem0n1 --offset 0 --length 512", "--yes"),
            ("inject-error iopmem0n1 --offset 0 --length 512", "--force"),
        ])
    func unused(line: String, option: String) throws {
        let session = try session()
        #expect(session.run("\(line) \(option)").status == 0, "\(session.talk)")
        let command = String(line.prefix { $0 != " " })
        #expect(!session.run("\(command) --help").output.contains(" \(option) "))
    }

    @Test("the same namespace under two names is destroyed once")
    func twice() throws {
        let session = try session()
        let uuid = try #require(try Inventory(root: session.host.root).namespaces.first?.uuid)
        #expect(session.run("destroy iopmem0n1 \(uuid) --yes").status == 0)
        #expect(session.host.removals.count == 1)
    }

    private func session() throws -> Session {
        let session = try Session(.twoCards)
        session.run("create --device 00:10.0 --size 64M -q")
        #expect(session.status == 0)
        return session
    }
}
