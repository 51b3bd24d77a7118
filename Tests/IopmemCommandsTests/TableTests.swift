// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Support
import Testing

/// Tables for people, word for word, of command lines that work.
@Suite("Tables")
struct TableTests {
    @Test("devices, with why a BAR is none to use")
    func devices() throws {
        let session = try Session(.twoCards).run("devices 00:10.0 00:12.0")
        #expect(session.status == 0)
        #expect(session.talk.isEmpty)
        try expectSnapshot(plain(session.output, session), named: "devices")
    }

    @Test("topology, with the tree, the verdict and what to change")
    func topology() throws {
        let session = try Session(.mounted).run("topology --client 04:00.0")
        #expect(session.status == 0)
        #expect(session.talk.isEmpty)
        try expectSnapshot(plain(session.output, session), named: "topology")
    }

    @Test("bind")
    func bind() throws {
        let session = try Session(.twoCards).run("bind 00:10.0")
        #expect(session.status == 0)
        try expectSnapshot(plain(session.output, session), named: "bind")
    }

    /// Each of them ends with 0, and talks only as it should.
    @Test("a namespace from create to destroy")
    func story() throws {
        let session = try Session(.twoCards)
        try session.host.tree.makeDirectory("/etc/iopmem")
        session.run("bind 00:10.0 --persist -q")
        #expect(session.status == 0)
        for (line, name) in [
            ("create --device 00:10.0 --size 64M --name scratch --persist -q", "create"),
            ("wait scratch --timeout 1", "wait"),
            ("inject-error scratch --offset 4K --length 4K -q", "inject-error"),
            ("share scratch -q", "share"), ("unshare scratch", "unshare"),
            ("unbind 00:10.0 -q", "unbind"), ("restore 00:10.0 -q", "restore"),
            ("destroy scratch --yes -q", "destroy"),
        ] {
            // Its name is known as long as it stands.
            let before = try Inventory(root: session.host.root).namespaces
            session.run(line)
            #expect(session.status == 0, "\(line): \(session.talk)")
            #expect(session.talk.isEmpty, "\(line): \(session.talk)")
            try expectSnapshot(plain(session.output, session, before), named: name)
        }
    }

    /// Without what differs from run to run, and the words of this machine's PCI id database.
    private func plain(
        _ text: String, _ session: Session, _ gone: [Namespace] = []
    ) throws -> String {
        let root = session.host.root
        let uuids = Set((try Inventory(root: root).namespaces + gone).map { "\($0.uuid)" })
        // The longest first: one may be the beginning of another.
        let names = Set(try DeviceList(root: root).devices.map(\.name))
            .sorted { ($0.count, $0) > ($1.count, $1) }
        let anonymous = uuids.reduce(text) { $0.replacingAll($1, with: "UUID") }
        return names.reduce(anonymous) { $0.replacingAll($1, with: "NAME") }
    }
}
