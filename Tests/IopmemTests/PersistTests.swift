// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Writing down in /etc/iopmem what shall come back; what does is in PersistTests+Restore.swift.
@Suite("Persistence in files")
struct PersistTests {
    static let address = LabelledHost.address
    static let path = "/etc/iopmem/\(LabelledHost.card).conf"

    let host: SimulatedHost
    let listener = RecordingListener()

    init() throws {
        host = try SimulatedHost()
        try host.tree.makeDirectory("/etc/iopmem")
    }

    var operation: Operation { Operation(on: host, telling: listener) }

    var files: [String] {
        get throws { try host.root.entries("/etc/iopmem") }
    }

    var file: CardFile? {
        get throws { try CardFolder.entry(Self.path, root: host.root).reading.file }
    }

    var namespaces: [Namespace] {
        get throws { try Inventory(root: host.root).namespaces }
    }

    @discardableResult
    func create(
        _ name: String, persist: Bool = true, dryRun: Bool = false
    ) throws -> Namespace? {
        try operation.create(
            CreateRequest(
                device: Self.address, size: .bytes(16 << 20), name: name, persist: persist,
                dryRun: dryRun))
    }

    func destroy(_ name: String) throws {
        let found = try #require(try namespaces.first { $0.name == name })
        try operation.destroy(found, DestroyRequest()) { _ in }
    }

    @discardableResult
    func restore(_ address: PCIAddress? = Self.address) throws -> RestoreOutcome {
        try operation.restore(RestoreRequest(address: address))
    }

    func error(_ body: () throws -> Void) throws -> IopmemError {
        try #require(throws: IopmemError.self, performing: body)
    }

    @Test("where there is an initramfs, it is said that it has to learn of a card, once")
    func initramfs() throws {
        func notes() -> Int { listener.notes.count { $0.contains("update-initramfs -u") } }
        try create("first")
        #expect(notes() == 0)
        try host.tree.write("", to: "/usr/share/initramfs-tools/hooks/iopmem-tools")
        try create("second")
        #expect(notes() == 0)
        try host.tree.remove(Self.path)
        try create("third")
        #expect(notes() == 1)
        // Another driver was faster: that is why.
        let other = try SimulatedHost()
        try other.tree.write("", to: "/usr/share/initramfs-tools/hooks/iopmem-tools")
        try other.tree.write(try host.root.bytes(Self.path), to: Self.path)
        try other.bind("\(Self.address)", to: "nvme")
        let refusal = try error {
            _ = try Operation(on: other, telling: listener)
                .restore(RestoreRequest(address: Self.address))
        }
        #expect(refusal.code == .busy)
        #expect(refusal.remedy?.contains("update-initramfs -u") == true)
    }

    @Test("a bind is written down, once")
    func binding() throws {
        let request = BindRequest(address: Self.address, media: "persistent", persist: true)
        _ = try operation.bind(request)
        let file = try #require(try file)
        #expect(file.media == "persistent" && file.bar == nil && file.namespaces.isEmpty)
        #expect(file.card.path == "0000:00:10.0")
        #expect("\(file.card.id)" == "1af4:1110")
        let text = try host.root.text(Self.path)
        let acts = host.acts.count
        _ = try operation.bind(request)
        #expect(host.acts.count == acts)
        #expect(try host.root.text(Self.path) == text)
    }

    @Test(
        "a bind that differs from what stands is refused, and one that differs from the file changes it"
    )
    func otherBinding() throws {
        _ = try operation.bind(BindRequest(address: Self.address, persist: true))
        let refused = try error {
            _ = try operation.bind(
                BindRequest(address: Self.address, media: "persistent", persist: true))
        }
        #expect(refused.message.contains("is bound with media volatile"))
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.tree.write(
            "# mine\n" + host.root.text(Self.path) + "\n", to: Self.path)
        _ = try operation.bind(
            BindRequest(address: Self.address, media: "persistent", persist: true))
        #expect(try file?.media == "persistent")
        #expect(try host.root.text(Self.path).hasPrefix("# mine\n"))
    }

    @Test("side effects are allowed for good only where a region needs it")
    func sideEffects() throws {
        try host.bind(LabelledHost.card, to: "other")
        _ = try operation.bind(BindRequest(address: Self.address, force: true, persist: true))
        #expect(try file?.allowsSideEffects == false)
        let region = try #require(host.root.realPath("/sys/class/iopmem/iopmem0"))
        try host.tree.write("0", to: "\(region)/prefetchable")
        _ = try operation.bind(BindRequest(address: Self.address, persist: true))
        #expect(try file?.allowsSideEffects == true)
    }

    @Test("what is destroyed is taken out of the file, and stays in it if that fails")
    func destroying() throws {
        try create("one")
        try create("two")
        let text = try host.root.text(Self.path)
        let acts = host.acts.count
        try destroy("one")
        #expect(try file?.namespaces.map(\.name) == ["two"])
        let needed = host.acts.count - acts
        for act in 0..<needed {
            try create("one")
            let before = try host.root.text(Self.path)
            host.failingAct = host.acts.count + act
            let failed = (try? destroy("one")) == nil
            host.failingAct = nil
            if failed, try namespaces.contains(where: { $0.name == "one" }) {
                #expect(try host.root.text(Self.path) == before, "act \(act)")
                try destroy("one")
            }
            #expect(try namespaces.map(\.name) == ["two"])
            #expect(try file?.namespaces.map(\.name) == ["two"])
        }
        #expect(text.contains("name = one"))
    }

    @Test("what is destroyed is also taken out of a file that has mistakes")
    func destroyingBesideMistakes() throws {
        try create("one")
        try host.tree.write(try host.root.text(Self.path) + "\nnonsense\n", to: Self.path)
        try destroy("one")
        #expect(try !host.root.text(Self.path).contains("name = one"))
        #expect(try host.root.text(Self.path).contains("nonsense"))
        _ = try operation.unbind(Self.address, dryRun: false)
        #expect(!listener.notes.contains { $0.contains("describes") })
        try host.tree.write(
            try host.root.text(Self.path).replacing("nonsense", with: ""), to: Self.path)
        try restore()
        _ = try operation.unbind(Self.address, dryRun: false)
        #expect(listener.notes.contains { $0.hasPrefix("\(Self.path) describes 0000:00:10.0") })
    }

    @Test("a creation that fails or is interrupted leaves no file, and none of its own in one")
    func creationUndone() throws {
        try create("first")
        let text = try host.root.text(Self.path)
        try destroy("first")
        let empty = try host.root.text(Self.path)
        #expect(text != empty)
        let start = host.acts.count
        try create("probe")
        let needed = host.acts.count - start
        try destroy("probe")
        for act in 0..<needed {
            host.failingAct = host.acts.count + act
            #expect(throws: IopmemError.self) { try create("second") }
            host.failingAct = nil
            #expect(try namespaces.isEmpty, "act \(act)")
            #expect(try host.root.text(Self.path) == empty, "act \(act)")
        }
        try host.tree.remove(Self.path)
        host.failingAct = host.acts.count + needed - 1
        #expect(throws: IopmemError.self) { try create("second") }
        host.failingAct = nil
        #expect(try files.isEmpty)
    }

    @Test("nothing is written beside a file that cannot be read, nor over another card's")
    func otherFiles() throws {
        try host.tree.write("[device]\nid = x\n", to: "/etc/iopmem/a.conf")
        let broken = try error { try create("one") }
        #expect(broken.message.contains("/etc/iopmem/a.conf:2:6: id = x: expected 1af4:1110"))
        #expect(try namespaces.isEmpty)
        try host.tree.remove("/etc/iopmem/a.conf")

        // Two files about one card.
        let text = CardFile(
            card: CardPattern(path: "0000:00:10.0", id: PCIPair(vendor: 0x1af4, device: 0x1110))
        ).text
        try host.tree.write(text, to: "/etc/iopmem/a.conf")
        try host.tree.write(text, to: "/etc/iopmem/b.conf")
        let twice = try error { try create("one") }
        #expect(twice.message.contains("described twice"))
        try host.tree.remove("/etc/iopmem/b.conf")
        try create("one")
        #expect(try files == ["a.conf"])
        try destroy("one")

        // A file with the name that ours would have, about another card.
        try host.tree.write(
            "[device]\nid = ffff:0001\n", to: Self.path)
        try host.tree.remove("/etc/iopmem/a.conf")
        try create("one")
        #expect(try files == ["0000:00:10.0-1af4:1110.conf", "0000:00:10.0.conf"])
    }

    @Test("a dry run says what would be written, and writes nothing")
    func dryRun() throws {
        try host.bindToIopmem(LabelledHost.card)
        try create("one", dryRun: true)
        #expect(listener.notes.contains("would write it to \(Self.path)"))
        _ = try operation.bind(BindRequest(address: Self.address, persist: true, dryRun: true))
        #expect(try files.isEmpty)
    }

    @Test("what a file describes and does not stand keeps its place, its number and its name")
    func absent() throws {
        let first = try #require(try create("one"))
        _ = try operation.unbind(Self.address, dryRun: false)
        let refused = try error { try create("one") }
        #expect(refused.message.contains("the name one is taken by namespace one"))
        let second = try #require(try create("two"))
        #expect(second.id == 2 && second.offset == first.offset + first.size)
        try create("three", persist: false)
        #expect(try restore().failures.isEmpty)
        #expect(try namespaces.map(\.name).sorted() == ["one", "three", "two"])
        #expect(try ConfigReview(root: host.root).isRight)
        let full = try error {
            _ = try operation.create(CreateRequest(device: Self.address, size: .bytes(1 << 40)))
        }
        #expect(full.message.contains("do not fit"))
    }

    @Test("nothing is written that would not be believed")
    func unbelievable() throws {
        try host.bindToIopmem(LabelledHost.card)
        try create("one")
        let text = try host.root.text(Self.path)
        let wrong = text.replacing("bar = 2\n", with: "")
            .replacing("id = 1af4:1110", with: "id = 1af4:1110\nbar = 0")
        try host.tree.write(wrong + "\n", to: Self.path)
        let refused = try error { try create("two") }
        #expect(refused.message.contains("cannot write \(Self.path): it would say"), "\(refused)")
        #expect(try namespaces.map(\.name) == ["one"])
        #expect(try host.root.text(Self.path) == wrong)
    }

    @Test("what is gone is not in the file, though it could not be wiped")
    func goneButNotWiped() throws {
        try create("one")
        try create("two")
        host.failsToWipe = true
        let refused = try error { try destroy("one") }
        #expect(refused.message.contains("it is gone, but"))
        #expect(try file?.namespaces.map(\.name) == ["two"])
    }

    @Test("what a function is bound with is not changed in silence")
    func otherMedia() throws {
        _ = try operation.bind(BindRequest(address: Self.address))
        _ = try operation.bind(BindRequest(address: Self.address, media: "volatile"))
        let refused = try error {
            _ = try operation.bind(BindRequest(address: Self.address, media: "persistent"))
        }
        #expect(refused.message.contains("is bound with media volatile"))
        #expect(refused.remedy?.contains("--media persistent;") == true)
    }

    @Test("two files about one card, and one that nobody can read, are found")
    func review() throws {
        try create("one")
        let text = try host.root.text(Self.path) + "\n"
        try host.tree.write(text, to: "/etc/iopmem/backup.conf")
        try host.tree.makeDirectory("/etc/iopmem/folder.conf")
        let review = try ConfigReview(root: host.root)
        #expect(!review.isRight)
        let complaints = review.files.flatMap(\.complaints)
        #expect(complaints.contains { $0.contains("means 0000:00:10.0, too") })
        #expect(complaints.contains { $0.contains("describes the namespace") })
        #expect(complaints.contains { $0.hasPrefix("/etc/iopmem/folder.conf:1:1: cannot read") })
        // The other files count nevertheless.
        try host.tree.remove("/etc/iopmem/backup.conf")
        #expect(try restore().standing.map(\.name) == ["one"])
        try destroy("one")
    }

    @Test("a change after an interruption is whole")
    func interrupted() throws {
        try create("one")
        _ = try operation.unbind(Self.address, dryRun: false)
        let start = host.acts.count
        try restore()
        let needed = host.acts.count - start
        for act in 1..<needed {
            _ = try operation.unbind(Self.address, dryRun: false)
            host.signalAfterAct = host.acts.count + act
            _ = try? restore()
            host.signalAfterAct = nil
            host.releaseSignals()
            let standing = try namespaces.map(\.name)
            #expect(standing.isEmpty || standing == ["one"])
            #expect(host.openNodes == 0)
        }
    }
}
