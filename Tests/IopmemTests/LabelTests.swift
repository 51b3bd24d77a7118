// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemLabels
import IopmemSystem
import Support
import Testing

/// Creating and destroying on a card that has labels.
@Suite("Namespaces with labels")
struct LabelTests {
    @Test("a namespace is made behind the area, and its label is the last step")
    func create() throws {
        let machine = try LabelledHost()
        let start = machine.host.acts.count
        let made = try #require(try machine.create("first", megabytes: 16))
        #expect(made.offset == 2 << 20)
        let acts = machine.host.acts[start...]
        #expect(
            acts.suffix(4) == [
                "wait for new block iopmem0n1", "write 256 at 262144", "write 4096 at 0",
                "write 4096 at 2093056",
            ])
        guard case .area(let area) = machine.reading else {
            Issue.record("not readable")
            return
        }
        let label = try #require(area.labels.first)
        #expect(label.uuid == made.uuid.bytes)
        #expect(label.name == "first")
        #expect((label.mode, label.map, label.media, label.number) == (1, 1, 0, 1))
        #expect((label.offset, label.size) == (2 << 20, 16 << 20))
    }

    @Test("max is everything behind the area")
    func max() throws {
        let machine = try LabelledHost()
        let made = try machine.operation.create(CreateRequest(device: LabelledHost.address))
        #expect(made?.offset == 2 << 20)
        #expect(made?.size == 254 << 20)
    }

    @Test("whichever step of create fails, neither namespace nor label is left", arguments: 0..<14)
    func createFails(step: Int) throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let before = try machine.host.tree.snapshot()
        machine.host.failingAct = machine.host.acts.count + step
        #expect(throws: IopmemError.self) { try machine.create("second", megabytes: 16) }
        #expect(try machine.host.tree.snapshot() == before)
        #expect(machine.labelNames == ["first"])
        #expect(machine.host.openNodes == 0)
    }

    @Test("the steps above are all there are")
    func createSteps() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let before = machine.host.acts.count
        try machine.create("second", megabytes: 16)
        #expect(machine.host.acts.count - before == 14)
    }

    @Test("whichever step of destroy fails, both are left", arguments: 0..<8)
    func destroyFails(step: Int) throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let before = try machine.host.tree.snapshot()
        let start = machine.host.acts.count
        machine.host.failingAct = start + step
        let error = #expect(throws: IopmemError.self) { try machine.destroy("first") }
        #expect(error != nil)
        #expect(try machine.host.tree.snapshot() == before)
        #expect(machine.labelNames == ["first"])
        #expect(machine.host.openNodes == 0)
    }

    @Test("destroy removes the label before the namespace")
    func destroy() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let start = machine.host.acts.count
        try machine.destroy("first")
        #expect(machine.labelNames.isEmpty)
        #expect(try machine.namespaces.isEmpty)
        #expect(
            Array(machine.host.acts[start...]) == [
                "open iopmem0", "lock iopmem0", "read 4096 at 0", "read 4096 at 2093056",
                "read 256 at 262144", "write 4096 at 0", "write 4096 at 2093056",
                "destroy iopmem0n1",
            ])
    }

    @Test("destroy of a held namespace leaves the label")
    func held() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        machine.host.busyAnswers = 99
        let error = #expect(throws: IopmemError.self) { try machine.destroy("first") }
        #expect(error?.exitStatus == 4)
        #expect(machine.labelNames == ["first"])
    }

    @Test("unbind leaves the labels alone")
    func unbind() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let memory = machine.host.memory
        try machine.unbind()
        #expect(machine.host.memory == memory)
    }

    @Test("on a card bound anew, nothing is placed over what labels describe")
    func notOverLabelled() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.create("second", megabytes: 64)
        try machine.destroy("first")
        try machine.unbind()
        let made = try machine.create("third", megabytes: 16)
        #expect(made?.offset == 2 << 20)
        let next = try machine.create("fourth", megabytes: 16)
        #expect(next?.offset == 82 << 20)
        #expect(try machine.restore().restored.map(\.name) == ["second"])
        let max = try machine.operation.create(CreateRequest(device: LabelledHost.address))
        #expect(max?.offset == 98 << 20)
    }

    @Test("a card that labels fill says how to get at it")
    func full() throws {
        let machine = try LabelledHost()
        _ = try machine.operation.create(CreateRequest(device: LabelledHost.address))
        try machine.unbind()
        let error = #expect(throws: IopmemError.self) { try machine.create("x", megabytes: 2) }
        #expect(error?.message.contains("not restored") == true)
        #expect(error?.remedy?.contains("iopmemctl restore 0000:00:10.0") == true)
        // The card was bound for nothing.
        #expect(
            try !DeviceList(root: machine.host.root).device(at: LabelledHost.address).isBound)
    }

    @Test("a name in a label of a namespace that does not stand is taken")
    func nameTaken() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        let error = #expect(throws: IopmemError.self) { try machine.create("first", megabytes: 2) }
        #expect(error?.message.contains("taken by the label first in slot 0") == true)
    }

    @Test("with a damaged label nothing new is placed")
    func damaged() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        machine.flip(LabelFormat.offset(ofSlot: 0) + 64)
        let error = #expect(throws: IopmemError.self) { try machine.create("x", megabytes: 2) }
        #expect(error?.message.hasPrefix("cannot tell which parts of iopmem0 are free") == true)
        #expect(error?.remedy == "look at its labels: iopmemctl labels check 0000:00:10.0")
    }

    @Test("over a corrupt area nothing is created or destroyed, and nothing is written")
    func corrupt() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        machine.flip(64)
        machine.flip(LabelFormat.areaSize - 4000)
        let memory = machine.host.memory
        let before = try machine.host.tree.snapshot()
        #expect(throws: IopmemError.self) { try machine.create("x", megabytes: 2) }
        #expect(throws: IopmemError.self) { try machine.destroy("first") }
        #expect(machine.host.memory == memory)
        #expect(try machine.host.tree.snapshot() == before)
    }

    @Test("an area that a reset has wiped is noticed, and made again for what stands")
    func wiped() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        machine.host.memory[LabelledHost.card] = nil
        let error = #expect(throws: IopmemError.self) { try machine.create("x", megabytes: 2) }
        #expect(error?.message.contains("is gone") == true)
        try machine.initLabels()
        #expect(machine.labelNames == ["first"])
    }

    @Test("a region that another tool has locked is exit 4")
    func locked() throws {
        let machine = try LabelledHost()
        machine.host.isLockedByAnother = true
        let error = #expect(throws: IopmemError.self) { try machine.create("x", megabytes: 2) }
        #expect(error?.exitStatus == 4)
        #expect(error?.remedy?.contains("fuser") == true)
    }

    @Test("a dry run says that a label would be written, and writes none")
    func dryRun() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        try machine.unbind()
        try machine.host.bindToIopmem(LabelledHost.card)
        let before = try machine.host.tree.snapshot()
        let memory = machine.host.memory
        let listener = RecordingListener()
        _ = try Operation(on: machine.host, telling: listener).create(
            CreateRequest(device: LabelledHost.address, size: .bytes(2 << 20), dryRun: true))
        #expect(listener.notes.contains { $0.contains("at offset 18M") })
        #expect(listener.notes.contains("would write its label to iopmem0"))
        #expect(try machine.host.tree.snapshot() == before)
        #expect(machine.host.memory == memory)
    }
}
