// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemLabels
import IopmemSystem
import Support
import Testing

/// Making, checking, dumping and putting back label areas.
@Suite("Label areas of regions")
struct LabelAreaTests {
    @Test("init makes one, again says that it is there, and changes nothing")
    func initialise() throws {
        let machine = try LabelledHost(labels: false)
        #expect(try machine.initLabels().labels.isEmpty)
        let memory = machine.host.memory
        let region = try #require(try Inventory(root: machine.host.root).regions.first)
        #expect(region.labelSize == 2 << 20)
        try machine.initLabels()
        #expect(machine.host.memory == memory)
        #expect(machine.host.openNodes == 0)
    }

    @Test("namespaces that stand already get labels")
    func standing() throws {
        let machine = try LabelledHost(labels: false)
        try machine.create("low", megabytes: 2)
        try machine.create("high", megabytes: 16)
        let busy = #expect(throws: IopmemError.self) { try machine.initLabels() }
        #expect(busy?.exitStatus == 4)
        #expect(busy?.message.contains("iopmem0n1 is in its first 2 MiB") == true)
        try machine.destroy("low")
        #expect(try machine.initLabels().labels.map(\.name) == ["high"])
        #expect(machine.labelNames == ["high"])
    }

    @Test("data in the way are named and kept, unless forced and agreed to")
    func data() throws {
        let machine = try LabelledHost(labels: false)
        var bytes = [UInt8](repeating: 0, count: 2 << 20)
        bytes[0x438] = 0x53
        machine.host.memory[LabelledHost.card] = bytes
        let before = try machine.host.tree.snapshot()
        let unknown = #expect(throws: IopmemError.self) { try machine.initLabels() }
        #expect(unknown?.code == .dataPresent)
        #expect(unknown?.message.contains("from byte 0x438") == true)
        machine.host.regionSignatures[0] = [Signature(kind: .superblock, type: "ext4")]
        let known = #expect(throws: IopmemError.self) { try machine.initLabels() }
        #expect(known?.message.contains("ext4") == true)
        #expect(throws: IopmemError.self) {
            try machine.initLabels(force: true) { _ throws(IopmemError) in
                throw IopmemError(.failed, "no")
            }
        }
        #expect(machine.host.memory[LabelledHost.card] == bytes)
        #expect(try machine.host.tree.snapshot() == before)
        try machine.initLabels(force: true)
        #expect(machine.labelNames.isEmpty)
    }

    @Test("whichever write of a first init fails, no area is left", arguments: 0..<4)
    func initFails(write: Int) throws {
        let machine = try LabelledHost(labels: false)
        let before = try machine.host.tree.snapshot()
        // open, lock, 2 index blocks, the whole area
        machine.host.failingAct = machine.host.acts.count + 5 + write
        #expect(throws: IopmemError.self) { try machine.initLabels() }
        // The last of these writes is the other index block, after the area is one.
        guard write < 3 else { return }
        if case .absent = machine.reading {} else { Issue.record("there is an area") }
        #expect(try machine.host.tree.snapshot() == before)
    }

    @Test("--force makes a new area, keeps the labels of what stands, and says what is lost")
    func force() throws {
        let machine = try LabelledHost()
        try machine.create("gone", megabytes: 16)
        try machine.unbind()
        try machine.create("here", megabytes: 16)
        var said = ""
        try machine.initLabels(force: true) { loss throws(IopmemError) in said = loss }
        #expect(said.contains("Lost are: the label gone in slot 0"))
        #expect(machine.labelNames == ["here"])
    }

    @Test("a corrupt area is left alone without --force, and replaced with it")
    func corrupt() throws {
        let machine = try LabelledHost()
        try machine.create("here", megabytes: 16)
        machine.flip(64)
        machine.flip(LabelFormat.areaSize - 4000)
        let memory = machine.host.memory
        #expect(throws: IopmemError.self) { try machine.initLabels() }
        #expect(machine.host.memory == memory)
        try machine.initLabels(force: true)
        #expect(machine.labelNames == ["here"])
    }

    @Test("check is content with a whole area, and names what is wrong with another")
    func check() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        #expect(try check(machine).map(\.status) == [.ok])
        machine.flip(64)
        let index = try check(machine)
        #expect(index.map(\.id) == ["label-index"])
        #expect(index.map(\.status) == [.problem])
        #expect(index.first?.finding.hasPrefix("the first index block: its checksum") == true)
        machine.flip(64)
        machine.flip(LabelFormat.offset(ofSlot: 0) + 64)
        #expect(try check(machine).map(\.id) == ["label", "label-namespace"])
        machine.host.memory[LabelledHost.card] = nil
        #expect(try check(machine).map(\.finding) == ["the label area is gone"])
    }

    @Test("a dump is put back bit for bit, and only where it fits")
    func dump() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let target = LabelTarget(LabelledHost.address)
        let dump = try machine.operation.dumpLabels(of: target)
        #expect(dump == machine.host.memory[LabelledHost.card])
        try machine.create("second", megabytes: 16)
        // A namespace that stands and that the dump does not know.
        let busy = #expect(throws: IopmemError.self) { try putBack(dump, machine) }
        #expect(busy?.exitStatus == 4)
        #expect(machine.labelNames == ["first", "second"])
        try machine.destroy("second")
        try putBack(dump, machine)
        try machine.unbind()
        machine.host.memory[LabelledHost.card] = nil
        try machine.host.bindToIopmem(LabelledHost.card)
        try putBack(dump, machine)
        #expect(machine.labelNames == ["first"])
        #expect(try machine.restore().restored.map(\.name) == ["first"])
    }

    @Test("a dump that is not whole is refused before anything is written")
    func badDump() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let good = try machine.operation.dumpLabels(of: LabelTarget(LabelledHost.address))
        let memory = machine.host.memory
        var bad = good
        bad[LabelFormat.offset(ofSlot: 0) + 64] ^= 1
        for (dump, reason) in [
            ([], "has 0 bytes"), (Array(good.dropLast()), "has 2097151 bytes"),
            ([UInt8](repeating: 0, count: good.count), "no labels"), (bad, "slot 0"),
        ] {
            let error = #expect(throws: IopmemError.self) { try putBack(dump, machine) }
            #expect(error?.message.contains(reason) == true)
        }
        #expect(machine.host.memory == memory)
    }

    @Test("putting a dump back over a foreign index block needs --force")
    func foreign() throws {
        let machine = try LabelledHost()
        try machine.create("first", megabytes: 16)
        let dump = try machine.operation.dumpLabels(of: LabelTarget(LabelledHost.address))
        for offset in 0..<4096 { machine.host.memory[LabelledHost.card]?[offset] = 0xeb }
        #expect(throws: IopmemError.self) { try machine.create("second", megabytes: 16) }
        #expect(throws: IopmemError.self) { try putBack(dump, machine) }
        #expect(machine.host.memory[LabelledHost.card]?[0] == 0xeb)
        try putBack(dump, machine, force: true)
        #expect(try check(machine).map(\.status) == [.ok])
        try machine.create("second", megabytes: 16)
        #expect(machine.labelNames == ["first", "second"])
    }

    private func check(_ machine: LabelledHost) throws -> [Check] {
        try machine.operation.checkLabels(of: LabelTarget(LabelledHost.address))
    }

    private func putBack(
        _ dump: [UInt8], _ machine: LabelledHost, force: Bool = false
    ) throws {
        _ = try machine.operation.restoreLabels(
            from: dump, named: "file",
            LabelWriteRequest(LabelTarget(LabelledHost.address), force: force)
        ) { _ throws(IopmemError) in }
    }
}
