// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemLabels
import IopmemSystem
import Logging
import Support
import Testing

/// Bringing namespaces back from their labels.
@Suite("Restore")
struct RestoreTests {
    @Test("after unbind and bind all come back as they were, also with gaps in the numbers")
    func roundTrip() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("second", megabytes: 32, mode: .raw)
        try machine.create("third", megabytes: 8)
        try machine.destroy("first")
        let before = try machine.namespaces.map(Identity.init)
        try machine.unbind()
        #expect(try machine.namespaces.isEmpty)
        let outcome = try machine.restore()
        #expect(outcome.failures.isEmpty)
        #expect(outcome.restored.map(Identity.init) == before)
        #expect(try machine.namespaces.map(Identity.init) == before)
        #expect(before.map(\.id) == [2, 3])
        #expect(machine.host.openNodes == 0)
    }

    @Test("what comes back is written down, once it stays")
    func journal() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("second", megabytes: 16)
        try machine.unbind()
        let start = machine.host.acts.count
        let written = machine.host.records.messages.count
        try machine.restore()
        let last = machine.host.acts.count
        #expect(
            machine.host.records.messages.dropFirst(written).map { $0.prefix { $0 != ":" } } == [
                "bound 0000", "restored iopmem0n1", "restored iopmem0n2",
            ])

        // Interrupted on the way, all of it is undone.
        var undone = 0
        for act in 1..<last - start {
            try machine.unbind()
            let known = machine.host.records.entries.count
            machine.host.signalAfterAct = machine.host.acts.count + act
            defer { machine.host.signalAfterAct = nil }
            guard (try? machine.restore()) == nil else { continue }
            undone += 1
            // But for the interruption itself.
            let news = machine.host.records.entries.dropFirst(known)
            #expect(
                news.map { $0.fields["error"] } == ["interrupted"], "interrupted after \(act)")
            machine.host.signalAfterAct = nil
            machine.host.releaseSignals()
        }
        #expect(undone > 5)
    }

    @Test("each one that does not come back is written down, once")
    func failures() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("second", megabytes: 16)
        let uuids = try machine.namespaces.map { "\($0.uuid)" }
        try machine.unbind()
        // No struct page fits.
        try machine.host.tree.write("MemAvailable: 1 kB", to: "/proc/meminfo")
        for dryRun in [true, false] {
            let known = machine.host.records.entries.count
            let outcome = try machine.restore(dryRun: dryRun)
            let news = machine.host.records.entries.dropFirst(known)
            #expect(news.map(\.message) == (dryRun ? [] : outcome.failures.map(\.message)))
            #expect(news.compactMap { $0.fields["uuid"] } == (dryRun ? [] : uuids))
            #expect(news.allSatisfy { $0.level == .error })
        }
    }

    @Test("doing it again changes nothing")
    func idempotent() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let before = try machine.host.tree.snapshot()
        let memory = machine.host.memory
        let outcome = try machine.restore()
        #expect(outcome.restored.isEmpty)
        #expect(outcome.standing.map(\.name) == ["first"])
        #expect(outcome.failures.isEmpty)
        #expect(try machine.host.tree.snapshot() == before)
        #expect(machine.host.memory == memory)
    }

    @Test("a card that was moved brings its namespaces along")
    func moved() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let before = try machine.namespaces.map(Identity.init)
        try machine.unbind()
        machine.host.memory[LabelledHost.other] = machine.host.memory[LabelledHost.card]
        machine.host.memory[LabelledHost.card] = nil
        let other = PCIAddress(bus: 0, device: 0x11, function: 0)
        let outcome = try machine.restore(other)
        #expect(outcome.restored.map(Identity.init) == before)
        #expect(try machine.namespaces.map(\.device) == [other])
    }

    @Test("without a function only bound ones are looked at")
    func all() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        #expect(try machine.restore(nil) == RestoreOutcome())
        try machine.host.bindToIopmem(LabelledHost.card)
        #expect(try machine.restore(nil).restored.map(\.name) == ["first"])
    }

    @Test("a function that was bound for nothing is released again")
    func nothing() throws {
        let machine = try LabelledHost(labels: false)
        try machine.unbind()
        let before = try machine.host.tree.snapshot()
        #expect(try machine.restore() == RestoreOutcome())
        #expect(try machine.host.tree.snapshot() == before)
        #expect(machine.host.openNodes == 0)
    }

    @Test("the media that labels remember is bound again")
    func media() throws {
        let machine = try LabelledHost(labels: false)
        try machine.unbind()
        _ = try machine.operation.bind(
            BindRequest(address: LabelledHost.address, media: "persistent"))
        try machine.initLabels()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        let outcome = try machine.restore()
        #expect(outcome.restored.map(\.media) == ["persistent"])
        try machine.unbind()
        #expect(
            try DeviceList(root: machine.host.root).device(at: LabelledHost.address).driver == nil)
    }

    @Test("a damaged label is reported, the others come back")
    func damaged() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("second", megabytes: 16)
        try machine.unbind()
        machine.flip(LabelFormat.offset(ofSlot: 0) + 70)
        let outcome = try machine.restore()
        #expect(outcome.restored.map(\.name) == ["second"])
        #expect(outcome.failures.map(\.exitStatus) == [1])
        #expect(
            outcome.failures.first?.message
                == "iopmem0: the label in slot 0: its checksum is wrong (byte 0x40038)")
    }

    @Test("a corrupt area is refused, and nothing is written")
    func corrupt() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        machine.flip(64)
        machine.flip(LabelFormat.areaSize - 4000)
        let memory = machine.host.memory
        let before = try machine.host.tree.snapshot()
        let outcome = try machine.restore()
        #expect(outcome.failures.map(\.code) == [.failed])
        #expect(outcome.failures.first?.message.contains("corrupt") == true)
        #expect(machine.host.memory == memory)
        // It was bound for nothing.
        #expect(try machine.host.tree.snapshot() == before)
    }

    @Test("a copy of a card does not get the same namespaces")
    func copied() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        machine.host.memory[LabelledHost.other] = machine.host.memory[LabelledHost.card]
        let other = PCIAddress(bus: 0, device: 0x11, function: 0)
        let outcome = try machine.restore(other)
        #expect(outcome.restored.isEmpty)
        #expect(outcome.failures.first?.message.contains("has its UUID") == true)
    }

    @Test("a name that is taken is reported with who has it")
    func nameTaken() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        let other = PCIAddress(bus: 0, device: 0x11, function: 0)
        _ = try machine.operation.create(
            CreateRequest(device: other, size: .bytes(2 << 20), name: "first"))
        let outcome = try machine.restore()
        #expect(outcome.failures.first?.message.contains("taken by iopmem0n1") == true)
    }

    @Test("a number that is taken is replaced by a free one")
    func numberTaken() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        try machine.host.bindToIopmem(LabelledHost.card)
        let region = try #require(try Inventory(root: machine.host.root).regions.first)
        let node = try machine.host.openRegion(region)
        _ = try node.create(
            NamespaceRequest(
                mode: 1, map: 1, offset: 128 << 20, length: 2 << 20,
                uuid: NamespaceUUID.random().bytes, name: ""))
        node.close()
        #expect(try machine.restore().restored.map(\.dev) == ["iopmem0n2"])
    }

    @Test("a dry run tells and does nothing")
    func dryRun() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        try machine.host.bindToIopmem(LabelledHost.card)
        let before = try machine.host.tree.snapshot()
        let listener = RecordingListener()
        let outcome = try Operation(on: machine.host, telling: listener).restore(
            RestoreRequest(address: LabelledHost.address, dryRun: true))
        #expect(outcome == RestoreOutcome())
        #expect(listener.notes == ["would restore the label first in slot 0 of iopmem0"])
        #expect(try machine.host.tree.snapshot() == before)
    }

    @Test("bind says what restore would bring back")
    func bindTells() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("", megabytes: 16)
        try machine.unbind()
        let listener = RecordingListener()
        _ = try Operation(on: machine.host, telling: listener)
            .bind(BindRequest(address: LabelledHost.address))
        #expect(
            listener.notes == [
                "iopmem0 has labels of 2 namespaces (first); bring them back: iopmemctl restore"
                    + " 0000:00:10.0"
            ])
    }

    @Test("Ctrl-C leaves what stands and says so")
    func interrupted() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("second", megabytes: 16)
        try machine.unbind()
        try machine.host.bindToIopmem(LabelledHost.card)
        let reference = machine.host.acts.count
        // open, lock, 2 index blocks, 2 labels, claim, watch, create, wait
        machine.host.signalAfterAct = reference + 9
        let error = #expect(throws: IopmemError.self) { try machine.restore() }
        #expect(error?.exitStatus == 130)
        #expect(error?.message == "interrupted after iopmem0n1")
        #expect(try machine.namespaces.map(\.name) == ["first"])
    }
}
