// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Command lines of `wait`, `inject-error`, `share` and `unshare`.
@Suite("Command lines")
struct CommandLineTests {
    @Test(
        "exit statuses",
        arguments: [
            ("wait", 64), ("wait scratch", 0), ("wait scratch --timeout 0", 0),
            ("wait nothing --timeout 0", 1), ("wait scratch --timeout -1", 64),
            ("wait scratch --timeout soon", 64), ("wait scratch --dry-run", 64),
            ("inject-error", 64), ("inject-error scratch", 64),
            ("inject-error scratch --offset 0", 64),
            ("inject-error scratch --offset 0 --length 512", 0),
            ("inject-error scratch --offset 4K --length 1M --dry-run", 0),
            ("inject-error scratch --offset 1 --length 512", 64),
            ("inject-error scratch --offset 0 --length 0", 64),
            ("inject-error scratch --offset 64M --length 512", 64),
            ("inject-error scratch --offset 18446744073709551104 --length 1024", 64),
            ("inject-error nothing --offset 0 --length 512", 3),
            ("share scratch", 0), ("share scratch --dry-run", 0), ("share rings", 6),
            ("unshare scratch", 0), ("unshare rings", 0), ("unshare scratch --dry-run", 0),
        ] as [(String, Int32)])
    func statuses(line: String, status: Int32) throws {
        let session = try session()
        #expect(session.run(line).status == status, "\(session.talk)")
    }

    @Test("wait shows the namespace that it waited for, as create would")
    func wait() throws {
        let session = try session()
        let made = session.run("list scratch -o json").output
        session.run("wait scratch -o json")
        #expect(session.output.contains(#""name" : "scratch""#))
        let uuid = try uuid(in: session)
        #expect(session.output.contains(uuid) && made.contains(uuid))
        #expect(session.run("wait \(uuid)").status == 0)
        #expect(session.run("wait nothing --timeout 0 -o json").output.isEmpty)
        #expect(session.talk.contains(#""code" : "timed_out""#))
    }

    @Test("inject-error hands the driver exactly the bytes that were named")
    func inject() throws {
        let session = try session()
        session.run("inject-error scratch --offset 1M --length 8K --dry-run")
        #expect(session.talk.contains("would make 8192 bytes at 1048576 bad"))
        #expect(session.host.injections.isEmpty)
        session.run("inject-error scratch --offset 1M --length 8K")
        let range: Range<UInt64> = 1_048_576..<1_056_768
        #expect(session.host.injections.map(\.range) == [range])
        #expect(session.talk.contains("are bad until written"))
    }

    @Test("share exports, says it again, shows it, and unshare ends it")
    func share() throws {
        let session = try session()
        let nqn = "nqn.2014-08.org.nvmexpress:uuid:\(try uuid(in: session))"
        session.run("share scratch --port 4421 -o json")
        #expect(session.status == 0)
        let made = session.output
        for fact in [
            #""address" : "127.0.0.1""#, #""port" : 4421"#, #""dev" : "iopmem0n1""#, "\"\(nqn)\"",
        ] {
            #expect(made.contains(fact), "\(fact)")
        }
        #expect(session.talk.contains("only this machine reaches 127.0.0.1"))
        #expect(session.run("share scratch --port 4421 -o json").output == made)
        #expect(session.talk.contains("is shared already"))
        #expect(session.run("share -o json").output == made)
        #expect(session.run("share scratch --port 4422").status == 4)
        #expect(session.run("destroy scratch --yes").status == 4)
        #expect(session.talk.contains("shared as \(nqn)"))

        #expect(session.run("unshare scratch --dry-run").status == 0)
        #expect(session.run("share -o json").output == made)
        #expect(session.run("unshare scratch -o json").output == made)
        #expect(session.run("share -o json").output.contains(#""shares" : ["#))
        #expect(!session.output.contains(nqn))
        #expect(session.run("unshare scratch").status == 0)
        #expect(session.talk.contains("is not shared"))
    }

    private func uuid(in session: Session) throws -> String {
        let root = session.host.root
        return "\(try Inventory(root: root).namespace(named: "scratch", root: root).uuid)"
    }

    /// A disk and memory to be mapped.
    private func session() throws -> Session {
        let session = try Session(.twoCards)
        session.run("create --device 00:10.0 --size 64M --name scratch")
        session.run("create --device 00:10.0 --size 64M --name rings --mode devdax")
        #expect(session.status == 0)
        return session
    }
}
