// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import SystemPackage
import Testing

/// Creating namespaces on a simulated machine.
@Suite("Create")
struct CreateTests {
    let card = "0000:00:10.0"

    @Test("on a bound card: look for data, create at exactly that place, wait for the node")
    func order() throws {
        let host = try boundHost()
        let made = try operation(host).create(request(.bytes(64 << 20), name: "scratch"))
        #expect(made?.dev == "iopmem0n1")
        #expect(made?.name == "scratch")
        #expect(made?.offset == 0)
        #expect(made?.size == 64 << 20)
        #expect(
            host.acts == [
                "open control", "ask for the version", "open iopmem0", "lock iopmem0",
                "read 4096 at 0", "read 4096 at 2093056", "watch",
                "look for signatures at 0", "create 67108864 at 0", "wait for new block iopmem0n1",
            ])
        #expect(host.openNodes == 0)
    }

    @Test("udev that is busy with others is waited for, several times as long, but not for ever")
    func busyUdev() throws {
        let host = try boundHost()
        host.busyRounds = 3
        let made = try operation(host).create(request(.bytes(64 << 20)))
        #expect(made?.dev == "iopmem0n1")
        #expect(host.acts.count { $0 == "wait for new block iopmem0n1" } == 4)
        host.busyRounds = 5
        let error = #expect(throws: IopmemError.self) {
            try operation(host).create(request(.bytes(64 << 20)))
        }
        #expect(error?.code == .timedOut)
        #expect(try Inventory(root: host.root).namespaces.map(\.dev) == ["iopmem0n1"])
    }

    @Test("on a free card: it is bound first")
    func binds() throws {
        let host = try SimulatedHost()
        #expect(try operation(host).create(request(.max))?.size == 256 << 20)
        #expect(try DeviceList(root: host.root).device(at: address(card)).isBound)
    }

    @Test("the first free extent that has room is taken")
    func firstFit() throws {
        let host = try boundHost()
        for size in [64, 32, 64] as [UInt64] {
            _ = try operation(host).create(request(.bytes(size << 20)))
        }
        try destroy("iopmem0n2", host)
        #expect(try operation(host).create(request(.bytes(32 << 20)))?.offset == 64 << 20)
        #expect(try operation(host).create(request(.bytes(2 << 20)))?.offset == 160 << 20)
    }

    @Test("max is the largest free extent, not the first")
    func max() throws {
        let host = try boundHost()
        for size in [64, 32] as [UInt64] {
            _ = try operation(host).create(request(.bytes(size << 20)))
        }
        try destroy("iopmem0n1", host)
        let made = try operation(host).create(request(.max))
        #expect(made?.offset == 96 << 20)
        #expect(made?.size == 160 << 20)
    }

    @Test("a size between two valid ones is refused with both")
    func misaligned() throws {
        let error = try refusal(request(.bytes(3 << 20)))
        #expect(error.exitStatus == 1)
        #expect(error.remedy == "use --size 2M or --size 4M")
        #expect(try refusal(request(.bytes(1))).remedy == "use --size 2M")
    }

    @Test("a size that does not fit is refused with the largest that does")
    func tooLarge() throws {
        let error = try refusal(request(.bytes(512 << 20)))
        #expect(error.exitStatus == 1)
        #expect(error.remedy?.contains("--size 256M") == true)
    }

    @Test("a full region says so")
    func full() throws {
        let host = try boundHost()
        _ = try operation(host).create(request(.max))
        let error = #expect(throws: IopmemError.self) { try operation(host).create(request(.max)) }
        #expect(error?.exitStatus == 1)
        #expect(error?.message == "no space is left in iopmem0")
    }

    @Test("space that is lent as a dma-buf is left out, with the rest of its units")
    func lent() throws {
        let host = try boundHost()
        let directory = try #require(host.root.realPath("/sys/class/iopmem/iopmem0"))
        // A page of the third unit, and two units at the end.
        try host.tree.write("4198400+4096 264241152+4194304\n", to: "\(directory)/lent")
        let first = try #require(try operation(host).create(request(.bytes(8 << 20))))
        #expect(first.offset == 6 << 20)
        let rest = try #require(try operation(host).create(request(.max)))
        #expect(rest.offset == 14 << 20 && rest.size == 238 << 20)
        let last = try #require(try operation(host).create(request(.max)))
        #expect(last.offset == 0 && last.size == 4 << 20)
        for strange in ["", "x", "1+", "18446744073709551615+4096", "0+18446744073709551615"] {
            try host.tree.write(strange, to: "\(directory)/lent")
            _ = try? operation(host).create(request(.bytes(2 << 20)))
        }
    }

    @Test("a name that is taken is refused before anything is done")
    func nameTaken() throws {
        let host = try boundHost()
        _ = try operation(host).create(request(.bytes(2 << 20), name: "scratch"))
        let acts = host.acts.count
        let error = #expect(throws: IopmemError.self) {
            try operation(host).create(request(.bytes(2 << 20), name: "scratch"))
        }
        #expect(error?.message == "the name scratch is taken by iopmem0n1")
        #expect(host.acts.count == acts)
    }

    @Test("data that stands there is named and kept, unless forced")
    func signatures() throws {
        let host = try boundHost()
        host.regionSignatures[0] = [Signature(kind: .superblock, type: "xfs", label: "db")]
        let before = try host.tree.snapshot()
        let error = #expect(throws: IopmemError.self) { try operation(host).create(request(.max)) }
        #expect(error?.code == .dataPresent)
        #expect(error?.exitStatus == 1)
        #expect(error?.message.contains(#"xfs signature "db""#) == true)
        #expect(try host.tree.snapshot() == before)
        var forced = request(.max)
        forced.force = true
        #expect(try operation(host).create(forced) != nil)
    }

    @Test("struct pages that do not fit in RAM are refused with the size that would")
    func memory() throws {
        let host = try boundHost()
        try host.tree.write("MemTotal: 8192 kB\nMemAvailable: 1024 kB", to: "/proc/meminfo")
        let error = #expect(throws: IopmemError.self) { try operation(host).create(request(.max)) }
        #expect(error?.message.contains("needs 4 MiB of RAM") == true)
        #expect(error?.remedy?.contains("--size 64M") == true)
        var raw = request(.max)
        raw.mode = .raw
        raw.map = nil
        #expect(try operation(host).create(raw) != nil)
    }

    @Test("a cached BAR is created on, with a warning")
    func cached() throws {
        let host = try boundHost()
        let region = try #require(host.root.realPath("/sys/class/iopmem/iopmem0"))
        try host.tree.write("wb", to: "\(region)/cache_platform")
        let listener = RecordingListener()
        _ = try Operation(on: host, telling: listener).create(request(.max))
        #expect(listener.warnings.count == 1)
    }

    @Test("a mode that the driver does not have: exit 6, what it has, and its words if need be")
    func unsupportedMode() throws {
        let host = try boundHost()
        var wanted = request(.max)
        wanted.mode = .p2pdma
        let listener = RecordingListener()
        for dryRun in [true, false] {
            wanted.dryRun = dryRun
            let told = #expect(throws: IopmemError.self) {
                try Operation(on: host, telling: listener).create(wanted)
            }
            #expect(told?.exitStatus == 6)
            #expect(told?.message.contains("CONFIG_PCI_P2PDMA") == true)
            #expect(told?.remedy?.contains("--mode fsdax, --mode devdax, --mode raw") == true)
        }
        #expect(listener.notes.isEmpty)
        // One that does not say which modes it has.
        let region = try #require(host.root.realPath("/sys/class/iopmem/iopmem0"))
        try host.tree.remove("\(region)/modes")
        let error = #expect(throws: IopmemError.self) { try operation(host).create(wanted) }
        #expect(error?.exitStatus == 6)
        #expect(error?.message.contains("driver 0.1.0 has no such mode") == true)

        let free = try SimulatedHost()
        let before = try free.tree.snapshot()
        let early = #expect(throws: IopmemError.self) { try operation(free).create(wanted) }
        #expect(early?.exitStatus == 6)
        #expect(try free.tree.snapshot() == before)
        #expect(!free.acts.contains("prepare"))
    }

    @Test("struct pages on the device: exit 6 with the cause, bound or not, also of a plan")
    func mapOnDevice() throws {
        for (host, dryRun) in [
            (try boundHost(), false), (try boundHost(), true), (try SimulatedHost(), false),
            (try SimulatedHost(), true),
        ] {
            let before = try host.tree.snapshot()
            let listener = RecordingListener()
            var wanted = request(.max)
            wanted.map = .dev
            wanted.dryRun = dryRun
            let error = #expect(throws: IopmemError.self) {
                try Operation(on: host, telling: listener).create(wanted)
            }
            #expect(error?.exitStatus == 6)
            #expect(error?.message.contains("locked accesses") == true)
            #expect(error?.message.contains("on this kernel") == false)
            #expect(error?.remedy?.contains("--map mem") == true)
            #expect(host.acts.isEmpty)
            #expect(listener.notes.isEmpty)
            #expect(try host.tree.snapshot() == before)
        }
    }

    @Test("a plan tells the price of the struct pages, and is refused where it is too high")
    func plannedMemory() throws {
        for host in [try boundHost(), try SimulatedHost()] {
            var wanted = request(.max)
            wanted.dryRun = true
            let listener = RecordingListener()
            _ = try Operation(on: host, telling: listener).create(wanted)
            #expect(listener.notes.contains("4 MiB of RAM for the struct pages"))

            try host.tree.write("MemAvailable: 1024 kB", to: "/proc/meminfo")
            let error = #expect(throws: IopmemError.self) { try operation(host).create(wanted) }
            #expect(error?.exitStatus == 1)
            #expect(error?.message.contains("needs 4 MiB of RAM") == true)
            #expect(error?.remedy?.contains("--size 64M") == true)
            wanted.size = .bytes(64 << 20)
            #expect(try operation(host).create(wanted) == nil)

            wanted.size = .max
            wanted.mode = .raw
            wanted.map = nil
            let free = RecordingListener()
            _ = try Operation(on: host, telling: free).create(wanted)
            #expect(!free.notes.contains { $0.contains("struct pages") })
        }
    }

    @Test("who is overtaken looks for another place")
    func overtaken() throws {
        let host = try boundHost()
        host.beforeCreate = { host in
            host.beforeCreate = nil
            // A program that knows nothing of the lock.
            let region = try #require(try Inventory(root: host.root).regions.first)
            let rival = try host.openRegion(region)
            defer { rival.close() }
            _ = try rival.create(
                NamespaceRequest(
                    mode: 1, map: 1, offset: 0, length: 64 << 20,
                    uuid: NamespaceUUID.random().bytes, name: ""))
        }
        #expect(try operation(host).create(request(.bytes(64 << 20)))?.offset == 64 << 20)
    }

    @Test("who is overtaken again and again gives up")
    func alwaysOvertaken() throws {
        let host = try boundHost()
        host.beforeCreate = { _ in throw DriverRefusal(.resourceBusy, reason: "claimed by another")
        }
        let error = #expect(throws: IopmemError.self) { try operation(host).create(request(.max)) }
        #expect(error?.exitStatus == 4)
        #expect(host.acts.filter { $0.hasPrefix("create") }.count == 5)
    }

    @Test(
        "on a bound card a BAR that cannot be a region is exit 6 with the reason",
        arguments: [0, 1])
    func impossibleBar(bar: Int) throws {
        var wanted = request(.max)
        wanted.bar = bar
        let error = try refusal(wanted)
        #expect(error.exitStatus == 6)
        #expect(error.message.hasPrefix("BAR \(bar) of 0000:00:10.0 cannot be a region: "))
    }

    @Test("a BAR that could be one but was left out by bind is exit 3 with the way there")
    func leftOutBar() throws {
        let host = try SimulatedHost()
        let path = "/sys/devices/pci0000:00/\(card)/resource"
        var lines = try host.root.text(path).split(separator: "\n").map(String.init)
        lines[4] = "0x00000000d0000000 0x00000000d3ffffff 0x000000000014220c"
        try host.tree.write(lines.joined(separator: "\n"), to: path)
        _ = try operation(host).bind(BindRequest(address: try address(card), bar: 2))
        var wanted = request(.max)
        wanted.bar = 4
        let error = #expect(throws: IopmemError.self) { try operation(host).create(wanted) }
        #expect(error?.exitStatus == 3)
        #expect(error?.remedy?.contains("bind 0000:00:10.0 --bar 4") == true)
    }

    @Test("a dry run does nothing, bound or not")
    func dryRun() throws {
        for host in [try boundHost(), try SimulatedHost()] {
            let before = try host.tree.snapshot()
            var wanted = request(.bytes(64 << 20))
            wanted.dryRun = true
            #expect(try operation(host).create(wanted) == nil)
            #expect(try host.tree.snapshot() == before)
            #expect(host.openNodes == 0)
        }
    }

    @Test("whichever step fails on a free card, the machine is as it was", arguments: 0..<17)
    func everyStep(step: Int) throws {
        let host = try SimulatedHost()
        let before = try host.tree.snapshot()
        host.failingAct = step
        #expect(throws: IopmemError.self) { try operation(host).create(request(.max)) }
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
    }

    @Test("the steps above are all there are")
    func numberOfSteps() throws {
        let host = try SimulatedHost()
        _ = try operation(host).create(request(.max))
        #expect(host.acts.count == 17)
    }

    @Test("after Ctrl-C at any step the machine is as it was", arguments: 0..<17)
    func interrupted(step: Int) throws {
        let host = try SimulatedHost()
        let before = try host.tree.snapshot()
        host.signalAfterAct = step
        let error = #expect(throws: IopmemError.self) {
            try operation(host).create(request(.max))
        }
        #expect(error?.exitStatus == 130)
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
    }

    @Test("a card that was bound before stays bound when create fails")
    func staysBound() throws {
        let host = try boundHost()
        let before = try host.tree.snapshot()
        host.failingAct = 9
        #expect(throws: IopmemError.self) { try operation(host).create(request(.max)) }
        #expect(try host.tree.snapshot() == before)
    }

    @Test(
        "names follow the ABI's rule",
        arguments: [
            ("scratch", true), ("a", true), ("0", true), ("a.b_c-d", true), ("iopmem", true),
            ("iopmemory", true), ("", false), (".a", false), ("-a", false), ("a b", false),
            ("a/b", false), ("ä", false), ("iopmem0", false), ("iopmem1n1", false),
            (String(repeating: "a", count: 63), true), (String(repeating: "a", count: 64), false),
        ])
    func names(name: String, isGood: Bool) {
        #expect((CreateRequest.objection(toName: name) == nil) == isGood)
    }

    private func boundHost() throws -> SimulatedHost {
        let host = try SimulatedHost()
        try host.bindToIopmem(card)
        return host
    }

    private func request(_ size: CreateRequest.Size, name: String = "") -> CreateRequest {
        CreateRequest(
            device: PCIAddress(bus: 0, device: 0x10, function: 0), size: size, name: name)
    }

    private func refusal(_ request: CreateRequest) throws -> IopmemError {
        let host = try boundHost()
        let before = try host.tree.snapshot()
        let error = #expect(throws: IopmemError.self) { try operation(host).create(request) }
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
        return try #require(error)
    }

    private func destroy(_ name: String, _ host: SimulatedHost) throws {
        let found = try Inventory(root: host.root).namespace(named: name, root: host.root)
        try operation(host).destroy(found, DestroyRequest()) { _ in }
    }
}
