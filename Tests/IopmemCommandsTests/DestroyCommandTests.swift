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
