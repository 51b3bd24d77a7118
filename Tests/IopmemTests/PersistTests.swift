// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Writing down in /etc/iopmem what shall come back, and bringing it back.
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

    private var operation: Operation { Operation(on: host, telling: listener) }

    private var files: [String] {
        get throws { try host.root.entries("/etc/iopmem") }
    }

    private var file: CardFile? {
        get throws { try CardFolder.entry(Self.path, root: host.root).reading.file }
    }

    private var namespaces: [Namespace] {
        get throws { try Inventory(root: host.root).namespaces }
    }

    @discardableResult
    private func create(
        _ name: String, persist: Bool = true, dryRun: Bool = false
    ) throws -> Namespace? {
        try operation.create(
            CreateRequest(
                device: Self.address, size: .bytes(16 << 20), name: name, persist: persist,
                dryRun: dryRun))
    }

    private func destroy(_ name: String) throws {
        let found = try #require(try namespaces.first { $0.name == name })
        try operation.destroy(found, DestroyRequest()) { _ in }
    }

    @discardableResult
    private func restore(_ address: PCIAddress? = Self.address) throws -> RestoreOutcome {
        try operation.restore(RestoreRequest(address: address))
    }

    private func error(_ body: () throws -> Void) throws -> IopmemError {
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

    @Test("namespaces come back as they were, also those of a card that nobody has bound")
    func roundTrip() throws {
        try create("one")
        try create("two")
        try create("gone", persist: false)
        let before = try namespaces.filter { $0.name != "gone" }.map(Identity.init)
        _ = try operation.unbind(Self.address, dryRun: false)
        let outcome = try restore(nil)
        #expect(outcome.failures.isEmpty)
        #expect(outcome.restored.map(Identity.init) == before)
        #expect(try namespaces.map(Identity.init) == before)
        let again = try restore(nil)
        #expect(again.restored.isEmpty && again.standing.count == 2 && again.failures.isEmpty)
        #expect(host.openNodes == 0)
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

    @Test("another card in the place of one is refused, and nothing is touched")
    func impostor() throws {
        try create("one")
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.tree.write(
            try host.root.text(Self.path).replacing("1af4:1110", with: "1af4:1111") + "\n",
            to: Self.path)
        let acts = host.acts.count
        let refused = try error { try restore() }
        #expect(refused.message.contains("is not the card that \(Self.path) describes"))
        #expect(refused.message.contains("its id is 1af4:1110, and not 1af4:1111"))
        #expect(host.acts.count == acts)
        let all = try restore(nil)
        #expect(all.failures == [refused] && all.restored.isEmpty)
    }

    @Test("one namespace that cannot come back does not keep the others from it")
    func partial() throws {
        try create("one")
        try create("two")
        _ = try operation.unbind(Self.address, dryRun: false)
        let text = try host.root.text(Self.path)
        let bar = "bar = 2"
        try host.tree.write(
            text.replacing(bar, with: "bar = 0", maxReplacements: 1) + "\n", to: Self.path)
        let outcome = try restore()
        #expect(outcome.restored.map(\.name) == ["two"])
        #expect(outcome.failures.count == 1)
        #expect(
            outcome.failures.first?.message.contains("BAR 0 of 0000:00:10.0 is not a region")
                == true)
        #expect(try DeviceList(root: host.root).device(at: Self.address).isBound)
    }

    @Test(
        "a card that its driver took by itself is bound anew as its file says, while that is possible"
    )
    func boundByTheKernel() throws {
        _ = try operation.bind(
            BindRequest(address: Self.address, media: "persistent", persist: true))
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.bindToIopmem(LabelledHost.card)
        #expect(try Inventory(root: host.root).regions.map(\.media) == ["volatile"])
        try restore()
        #expect(try Inventory(root: host.root).regions.map(\.media) == ["persistent"])
        // Not with somebody's namespace on it.
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.bindToIopmem(LabelledHost.card)
        try create("one", persist: false)
        try restore()
        #expect(listener.warnings.contains { $0.contains("is not bound as \(Self.path) says") })
        #expect(try namespaces.map(\.name) == ["one"])
    }

    @Test("a card that is bound because the driver was loaded for it comes back as its file says")
    func boundWhileLoading() throws {
        _ = try operation.bind(
            BindRequest(address: Self.address, media: "persistent", persist: true))
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.unloadModule("iopmem")
        // What udev's rule does.
        try host.write("iopmem", to: "/sys/bus/pci/devices/\(Self.address)/driver_override")
        let outcome = try restore()
        #expect(outcome.failures.isEmpty)
        #expect(try Inventory(root: host.root).regions.map(\.media) == ["persistent"])
    }

    @Test("a file system is made where none is recognised, and only there")
    func makingFilesystems() throws {
        try create("one")
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.tree.write(try host.root.text(Self.path) + "\nmkfs = ext4\n", to: Self.path)
        try restore()
        #expect(host.acts.filter { $0.hasPrefix("make ") } == ["make ext4 on /dev/iopmem0n1"])
        _ = try operation.unbind(Self.address, dryRun: false)
        host.nodeSignatures["/dev/iopmem0n1"] = [Signature(kind: .superblock, type: "xfs")]
        try restore()
        #expect(host.acts.filter { $0.hasPrefix("make ") }.count == 1)
    }

    @Test("a file system that could not be made is made the next time")
    func failingFilesystem() throws {
        try create("one")
        _ = try operation.unbind(Self.address, dryRun: false)
        try host.tree.write(try host.root.text(Self.path) + "\nmkfs = ext4\n", to: Self.path)
        host.failing = ["make ext4 on /dev/iopmem0n1"]
        let failed = try restore()
        #expect(failed.failures.count == 1 && failed.restored.isEmpty)
        #expect(try namespaces.isEmpty)
        host.failing = []
        #expect(try restore().restored.map(\.name) == ["one"])
        #expect(host.acts.count { $0 == "make ext4 on /dev/iopmem0n1" } == 2)
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

    @Test("to be bound as its file says, a card is not given to its ordinary driver")
    func boundAnew() throws {
        try host.bind("\(Self.address)", to: "vendor")
        _ = try operation.bind(
            BindRequest(
                address: Self.address, media: "persistent", force: true, persist: true))
        _ = try operation.unbind(Self.address, dryRun: false)
        #expect(try DeviceList(root: host.root).device(at: Self.address).driver == "vendor")
        // What udev's rule and the loading of the driver do.
        try host.write("\(Self.address)", to: "/sys/bus/pci/drivers/vendor/unbind")
        try host.bindToIopmem(LabelledHost.card)
        let acts = host.acts.count
        #expect(try restore().failures.isEmpty)
        #expect(try Inventory(root: host.root).regions.map(\.media) == ["persistent"])
        #expect(
            !host.acts.dropFirst(acts).contains {
                $0.contains("driver_override") && $0.contains("nothing")
            })
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

    @Test("labels win over a file's namespaces")
    func labels() throws {
        let machine = try LabelledHost()
        try machine.create("label", megabytes: 16)
        let card = CardIdentity(
            try DeviceList(root: machine.host.root).device(at: Self.address),
            root: machine.host.root)
        let uuid = NamespaceUUID.random()
        try machine.host.tree.write(
            CardFile(
                card: CardPattern(card), media: "persistent",
                namespaces: [ConfiguredNamespace(uuid: uuid, offset: 64 << 20, size: 2 << 20)]
            ).text, to: Self.path)
        try machine.unbind()
        let listener = RecordingListener()
        let outcome = try Operation(on: machine.host, telling: listener).restore(
            RestoreRequest(address: Self.address))
        #expect(outcome.restored.map(\.name) == ["label"])
        #expect(listener.warnings.contains { $0.contains("has labels, which win") })
        // The rest of the file is policy, and that counts.
        #expect(try Inventory(root: machine.host.root).regions.first?.media == "persistent")
        // --persist writes a label where there is an area.
        _ = try machine.operation.create(
            CreateRequest(device: Self.address, size: .bytes(2 << 20), name: "new", persist: true))
        #expect(machine.labelNames == ["label", "new"])
        #expect(
            try CardFolder(root: machine.host.root).entries.first?.reading.file?.namespaces.count
                == 1)
    }

    @Test("what a namespace's user wrote is not taken for labels")
    func forgedLabels() throws {
        let machine = try LabelledHost()
        try machine.create("forged", megabytes: 16)
        try machine.unbind()
        let labels = machine.host.memory[LabelledHost.card]
        machine.host.memory[LabelledHost.card] = nil
        _ = try machine.operation.create(
            CreateRequest(
                device: Self.address, size: .bytes(16 << 20), name: "one", persist: true))
        machine.host.memory[LabelledHost.card] = labels
        try machine.unbind()
        let outcome = try machine.restore()
        #expect(outcome.restored.map(\.name) == ["one"])
        #expect(outcome.failures.isEmpty)
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
