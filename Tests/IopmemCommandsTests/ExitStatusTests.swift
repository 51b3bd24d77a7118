// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Support
import Testing

/// The exit statuses of the public contract, by command line.
@Suite("Exit status")
struct ExitStatusTests {
    @Test(
        "on a machine with two free cards and a drive",
        arguments: [
            ("", 0), ("--help", 0), ("--version", 0), ("help create", 0), ("list --help", 0),
            ("devices", 0), ("devices 00:10.0", 0), ("devices 7f:00.0", 3), ("devices card", 64),
            ("list", 0), ("list nothing", 3), ("lst", 64), ("list --nothing", 64),
            ("list -o xml", 64), ("list -v -q", 64),
            ("bind", 64), ("bind 00:10.0", 0), ("bind 00:12.0", 6), ("bind 7f:00.0", 3),
            ("bind 00:10.0 --bar 6", 64), ("bind 00:10.0 --bar 0", 6), ("bind 00:10.0 --bar 1", 6),
            ("bind 00:10.0 --media paper", 64),
            ("unbind 00:10.0", 0), ("unbind 7f:00.0", 3),
            ("create", 64), ("create --device 00:10.0", 0), ("create --device 00:12.0", 6),
            ("create --device 7f:00.0", 3), ("create --device 00:10.0 --size 0", 64),
            ("create --device 00:10.0 --size -1", 64), ("create --device 00:10.0 --size 1.5G", 64),
            ("create --device 00:10.0 --size 3M", 1), ("create --device 00:10.0 --size 1T", 1),
            ("create --device 00:10.0 --mode fast", 64),
            ("create --device 00:10.0 --mode p2pdma", 6),
            ("create --device 00:10.0 --publish", 64),
            ("create --device 00:10.0 --mode devdax", 0), ("create --device 00:10.0 --map dev", 6),
            ("create --device 00:10.0 --map disk", 64),
            ("create --device 00:10.0 --mode raw --map mem", 64),
            ("create --device 00:10.0 --name iopmem0", 64),
            ("create --device 00:10.0 --name a/b", 64),
            ("destroy", 64), ("destroy nothing", 3), ("destroy --all", 0), ("destroy x --all", 64),
            ("destroy x --keep-data --zero", 64), ("doctor 7f:00.0", 3),
            ("share", 0), ("share nothing", 3), ("share x --port 0", 64), ("unshare nothing", 3),
            ("unshare", 64), ("share x --address 192.0.2.1", 64), ("share x --host me", 64),
            ("share x --host any --host nqn.2014-08.org.example:a", 64), ("share --once", 64),
            ("share x --again", 64), ("metrics", 0), ("metrics -o json", 64),
            ("labels dump 00:10.0 -o json", 64),
        ] as [(String, Int32)])
    func freeCards(line: String, status: Int32) throws {
        let session = try Session(.twoCards).run(line)
        #expect(session.status == status, "\(session.talk)")
        if status != 0 {
            #expect(session.output.isEmpty)
            #expect(!session.talk.isEmpty)
        }
    }

    @Test("without root, changes are exit 5 and looking is not")
    func unprivileged() throws {
        let session = try Session(.twoCards)
        session.host.isPrivileged = false
        #expect(session.run("bind 00:10.0").status == 5)
        #expect(session.run("create --device 00:10.0").status == 5)
        #expect(session.run("list").status == 0)
        #expect(session.run("bind 00:10.0 --dry-run").status == 0)
    }

    @Test("a held namespace is exit 4, and so is --all when all are held")
    func held() throws {
        let session = try Session(.mounted)
        #expect(session.run("destroy scratch --yes --force").status == 4)
        #expect(session.talk.contains("/tmp/my mount"))
        #expect(session.output.isEmpty)

        try session.host.tree.write(
            "Filename Type Size Used Priority\n/dev/iopmem0n2 partition 65536 0 -2\n",
            to: "/proc/swaps")
        for name in ["iopmem0", "iopmem0n1", "iopmem0n2"] {
            try session.host.tree.write("", to: "/dev/\(name)")
        }
        #expect(session.run("destroy --all --yes --force").status == 4)
        #expect(session.talk.contains("none of 2 done"))
        #expect(session.talk.contains("/tmp/my mount"))
        #expect(session.talk.contains("used as swap space (/dev/iopmem0n2)"))
        #expect(session.output.isEmpty)
        #expect(session.host.removals.isEmpty)
    }

    @Test("of several targets, some done and some held is exit 8, each reported")
    func some() throws {
        let session = try Session(.mounted)
        for name in ["iopmem0", "iopmem0n1", "iopmem0n2"] {
            try session.host.tree.write("", to: "/dev/\(name)")
        }
        session.run("destroy --all --yes --force -o json")
        #expect(session.status == 8)
        #expect(session.output.contains(#""dev" : "iopmem0n2""#))
        #expect(!session.output.contains(#""dev" : "iopmem0n1""#))
        #expect(session.talk.contains(#""code" : "partial""#))
        #expect(session.talk.contains("/tmp/my mount"))
    }

    @Test("of several targets, none done for different reasons is exit 1")
    func none() throws {
        let session = try Session(.mounted)
        #expect(session.run("destroy scratch nothing --yes --force").status == 1)
        #expect(session.talk.contains("no namespace nothing"))
    }
}
