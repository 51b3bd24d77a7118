// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Verdicts on machines whose verdict by the kernel is known, or follows from its code.
@Suite("Topology")
struct TopologyTests {
    private let card = PCIAddress(bus: 1, device: 0, function: 0)
    private let drive = PCIAddress(bus: 2, device: 0, function: 0)

    // MARK: - Where the two devices sit

    @Test(
        "side by side on a root bus it depends on the root complex",
        arguments: [(nil as Int?, PeerPair.Verdict.notSupported), (0x17, .throughHostBridge)])
    func rootBus(family: Int?, expected: PeerPair.Verdict) throws {
        let machine = try PCISketch(amdFamily: family)
        try machine.add("pci0000:00/0000:00:00.0", .hostBridge(0x8086, 0x29c0))
        try machine.add("pci0000:00/0000:00:10.0", .card())
        try machine.add("pci0000:00/0000:00:11.0", .drive)
        let pair = try #require(try Topology(root: machine.root).pairs().first)
        #expect(pair.verdict == expected)
        #expect(pair.distance == 2)
        #expect(pair.hostBridges == ["pci0000:00"])
        #expect(pair.redirectingBridges.isEmpty)
        #expect((pair.remedy == nil) == (expected == .throughHostBridge))
    }

    @Test(
        "below two root ports it depends on the root complex too",
        arguments: [
            (nil as Int?, PeerPair.Verdict.notSupported), (0x16, .notSupported),
            (0x17, .throughHostBridge), (0x1a, .throughHostBridge),
        ])
    func rootPorts(family: Int?, expected: PeerPair.Verdict) throws {
        let machine = try PCISketch(amdFamily: family)
        try machine.add("pci0000:00/0000:00:00.0", .hostBridge(0x8086, 0x29c0))
        try addPorts(to: machine)
        let pair = try verdict(on: machine)
        #expect(pair.verdict == expected)
        #expect(pair.distance == 4)
        #expect(
            pair.path.map(\.description) == [
                "0000:01:00.0", "0000:00:04.0", "0000:00:05.0", "0000:02:00.0",
            ])
        if expected == .notSupported { #expect(pair.reason.contains("8086:29c0")) }
    }

    @Test("below one switch transfers stay in it")
    func withinSwitch() throws {
        let machine = try PCISketch()
        try addSwitch(to: machine)
        let pair = try #require(try Topology(root: machine.root).pairs().first)
        #expect(pair.verdict == .busAddress)
        #expect(pair.distance == 4)
        #expect(pair.path.count == 5)
        #expect(pair.hostBridges.isEmpty)
        #expect(pair.remedy == nil)
    }

    @Test("two functions below one port reach each other")
    func twoFunctions() throws {
        let pair = try functions(acs: nil, family: nil)
        #expect(pair.verdict == .busAddress)
        #expect(pair.distance == 2)
    }

    // MARK: - Access control

    @Test(
        "request, completion and egress control send transfers up; other bits do not",
        arguments: [
            (UInt16(0x04), PeerPair.Verdict.notSupported), (0x08, .notSupported),
            (0x20, .notSupported), (0x1d, .notSupported), (0x00, .busAddress), (0x53, .busAddress),
        ])
    func accessControl(acs: UInt16, expected: PeerPair.Verdict) throws {
        let pair = try functions(acs: acs, family: nil)
        #expect(pair.verdict == expected)
        #expect(pair.distance == 2)
        guard expected == .notSupported else { return }
        #expect(pair.redirectingBridges.map(\.description) == ["0000:00:04.0"])
        #expect(pair.remedy?.contains("pci=disable_acs_redir=0000:00:04.0,") == true)
        #expect(try functions(acs: acs, family: 0x19).verdict == .throughHostBridge)
    }

    @Test("every bridge that redirects is named, from the provider to the client")
    func manyRedirects() throws {
        let machine = try PCISketch()
        try addSwitch(to: machine, acs: 0x1d)
        let pair = try #require(try Topology(root: machine.root).pairs().first)
        #expect(pair.redirectingBridges.map(\.description) == ["0000:02:00.0", "0000:02:01.0"])
        #expect(pair.remedy?.contains("=0000:02:00.0;0000:02:01.0,") == true)
    }

    @Test("access control on root ports is no matter where no bridge is shared")
    func irrelevantRedirect() throws {
        let machine = try PCISketch(amdFamily: 0x19)
        try addPorts(to: machine, acs: 0x1d)
        let pair = try verdict(on: machine)
        #expect(pair.verdict == .throughHostBridge)
        #expect(pair.redirectingBridges.isEmpty)
    }

    @Test("what only root can see makes the verdict unknown, never better")
    func hidden() throws {
        let machine = try PCISketch()
        try addSwitch(to: machine, visible: 64)
        let pair = try #require(try Topology(root: machine.root).pairs().first)
        #expect(pair.verdict == .unknown)
        #expect(pair.remedy == "run it as root")
        // Where no bridge is shared nothing is hidden.
        let other = try PCISketch(amdFamily: 0x17)
        try addPorts(to: other, visible: 64)
        #expect(try verdict(on: other).verdict == .throughHostBridge)
    }

    // MARK: - Root complexes

    @Test(
        "root complexes are known by number 00.0, each from the kernel on that knows it",
        arguments: [
            (UInt16(0x2030), "6.1.0-56", true), (0x2f00, "6.12.1", true), (0x0b25, "6.12.1", false),
            (0x0b25, "7.2.12", true), (0x29c0, "7.3.4", false), (0x4948, "7.2.1", true),
        ])
    func list(device: UInt16, release: String, isKnown: Bool) throws {
        let machine = try PCISketch(release: release)
        try machine.add("pci0000:00/0000:00:00.0", .hostBridge(0x8086, device))
        try addPorts(to: machine)
        #expect(try verdict(on: machine).verdict == (isKnown ? .throughHostBridge : .notSupported))
    }

    @Test(
        "between two host bridges both must be known, and known to reach others",
        arguments: [
            (UInt16(0x2030), UInt16(0x2030), true), (0x2030, 0x29c0, false),
            (0x2f00, 0x2f00, false),
            (0x2f00, 0x2030, false),
        ])
    func twoHostBridges(first: UInt16, second: UInt16, isKnown: Bool) throws {
        let machine = try PCISketch()
        try machine.add("pci0000:00/0000:00:00.0", .hostBridge(0x8086, first))
        try machine.add("pci0000:80/0000:80:00.0", .hostBridge(0x8086, second))
        try machine.add("pci0000:00/0000:00:04.0", .rootPort())
        try machine.add("pci0000:80/0000:80:05.0", .rootPort())
        try machine.add("pci0000:00/0000:00:04.0/0000:01:00.0", .card())
        try machine.add("pci0000:80/0000:80:05.0/0000:02:00.0", .drive)
        let pair = try verdict(on: machine)
        #expect(pair.verdict == (isKnown ? .throughHostBridge : .notSupported))
        #expect(pair.hostBridges == ["pci0000:00", "pci0000:80"])
    }

    @Test("without number 00.0 a root port stands for the root complex, and nothing else does")
    func representative() throws {
        for (isPort, expected) in [
            (true, PeerPair.Verdict.throughHostBridge), (false, .notSupported),
        ] {
            let machine = try PCISketch()
            var first = isPort ? PCISketch.Function.rootPort() : .drive
            first.device = 0x2030
            first.driver = nil
            try machine.add("pci0000:00/0000:00:02.0", first)
            try addPorts(to: machine)
            #expect(try verdict(on: machine).verdict == expected)
        }
    }

    @Test("a host bridge below another one's device is one of its own")
    func nested() throws {
        let machine = try PCISketch()
        let top = "pci0000:00/0000:00:0e.0/pci10000:e0"
        try machine.add("pci0000:00/0000:00:00.0", .hostBridge(0x8086, 0x29c0))
        try machine.add("\(top)/10000:e0:06.0", .rootPort())
        try machine.add("\(top)/10000:e0:06.0/10000:e1:00.0", .drive)
        try machine.add("pci0000:00/0000:00:04.0", .rootPort())
        try machine.add("pci0000:00/0000:00:04.0/0000:01:00.0", .card())
        let pair = try #require(try Topology(root: machine.root).pairs().first)
        #expect(pair.hostBridges == ["pci0000:00", "pci10000:e0"])
        #expect(pair.distance == 4)
        #expect(pair.verdict == .notSupported)
    }

    // MARK: - Who is asked about

    @Test("an IOMMU that translates takes fsdax and devdax the long way, and that is said")
    func translated() throws {
        let machine = try PCISketch()
        try addSwitch(to: machine)
        let path = "pci0000:00/0000:00:04.0/0000:01:00.0/0000:02:01.0/0000:04:00.0"
        try machine.set("iommu_group/type", of: path, to: "DMA-FQ")
        let pair = try #require(try Topology(root: machine.root).pairs().first)
        #expect(pair.verdict == .busAddress)
        #expect(pair.iommu == .translated)
        #expect(pair.remedy?.contains("iommu=pt") == true)
        try machine.set("iommu_group/type", of: path, to: "identity")
        let other = try #require(try Topology(root: machine.root).pairs().first)
        #expect(other.iommu == .identity)
        #expect(other.remedy == nil)
    }

    @Test("bound devices are the providers, drives and networks with a driver the clients")
    func defaults() throws {
        let host = try SimulatedHost(.mounted)
        let topology = try Topology(root: host.root)
        #expect(topology.providers.map(\.description) == ["0000:03:00.0"])
        #expect(topology.clients.map(\.description).contains("0000:04:00.0"))
        #expect(!topology.clients.contains(topology.providers[0]))
        #expect(throws: IopmemError.self) {
            try topology.pairs(providers: [PCIAddress(bus: 9, device: 0, function: 0)])
        }
        let own = try topology.pairs(
            providers: topology.providers, clients: topology.providers)
        #expect(own.isEmpty)
    }

    // MARK: - Machines

    private func verdict(on machine: PCISketch) throws -> PeerPair {
        try Topology(root: machine.root).pair(provider: card, client: drive)
    }

    private func addPorts(
        to machine: PCISketch, acs: UInt16? = nil, visible: Int = 4096
    ) throws {
        var port = PCISketch.Function.rootPort(acs: acs)
        port.visible = visible
        try machine.add("pci0000:00/0000:00:04.0", port)
        try machine.add("pci0000:00/0000:00:05.0", port)
        try machine.add("pci0000:00/0000:00:04.0/0000:01:00.0", .card())
        try machine.add("pci0000:00/0000:00:05.0/0000:02:00.0", .drive)
    }

    /// A card and a drive below the downstream ports of a switch.
    private func addSwitch(
        to machine: PCISketch, acs: UInt16? = nil, visible: Int = 4096
    ) throws {
        var port = PCISketch.Function.downstream(acs: acs)
        port.visible = visible
        let upstream = "pci0000:00/0000:00:04.0/0000:01:00.0"
        try machine.add("pci0000:00/0000:00:04.0", .rootPort())
        try machine.add(upstream, .upstream)
        try machine.add("\(upstream)/0000:02:00.0", port)
        try machine.add("\(upstream)/0000:02:01.0", port)
        try machine.add("\(upstream)/0000:02:00.0/0000:03:00.0", .card())
        try machine.add("\(upstream)/0000:02:01.0/0000:04:00.0", .drive)
    }

    private func functions(acs: UInt16?, family: Int?) throws -> PeerPair {
        let machine = try PCISketch(amdFamily: family)
        try machine.add("pci0000:00/0000:00:00.0", .hostBridge(0x8086, 0x29c0))
        try machine.add("pci0000:00/0000:00:04.0", .rootPort(acs: acs))
        try machine.add("pci0000:00/0000:00:04.0/0000:01:00.0", .card())
        try machine.add("pci0000:00/0000:00:04.0/0000:01:00.1", .drive)
        return try #require(try Topology(root: machine.root).pairs().first)
    }
}
