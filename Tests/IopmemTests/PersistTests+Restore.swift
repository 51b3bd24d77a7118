// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// What comes back, and how.
extension PersistTests {
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
}
