// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import SystemPackage
import Testing

/// Namespaces that are no block devices, on a simulated machine.
@Suite("Modes without a disk")
struct ModeTests {
    let card = "0000:00:10.0"

    @Test("devdax has a character node, costs a quarter of the RAM, and is waited for as itself")
    func devdax() throws {
        let host = try boundHost()
        let listener = RecordingListener()
        let made = try #require(
            try Operation(on: host, telling: listener).create(
                request(.devdax, .bytes(256 << 20), name: "rings")))
        #expect(made.path == "/dev/iopdax0n1")
        #expect(made.filesystem == nil)
        #expect(listener.notes == ["1 MiB of RAM for the struct pages"])
        #expect(host.acts.last == "wait for new iopmem iopmem0n1")
        let found = try Inventory(root: host.root).findNamespace(
            named: "/dev/iopdax0n1", root: host.root)
        #expect(found?.dev == "iopmem0n1")
    }

    @Test("whoever made a dma-buf is named, though he is not seen to have the node open")
    func exporter() throws {
        let host = try boundHost()
        _ = try operation(host).create(request(.devdax, .bytes(64 << 20)))
        let directory = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("1", to: "\(directory)/openers")
        try host.tree.write("gpu app[0][77]", to: "\(directory)/last_opener")
        let shown = try Inventory(root: host.root).withUsage(on: host).namespaces
        #expect(shown.first?.holders == [.init(kind: "process", name: "gpu app[0]", pid: 77)])
        try host.tree.write("0", to: "\(directory)/openers")
        let free = try Inventory(root: host.root).withUsage(on: host).namespaces
        #expect(free.first?.holders == [])
    }

    @Test("who has a devdax node open or mapped is named, and keeps it")
    func holder() throws {
        let host = try boundHost()
        let made = try #require(try operation(host).create(request(.devdax, .bytes(64 << 20))))
        let directory = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("1", to: "\(directory)/openers")
        host.processAnswers = [
            [
                ProcessHolder(
                    pid: 12, name: "ib_write_bw",
                    device: DeviceNumber(major: 234, minor: 1, isBlock: false)),
                // A disk may have the same number.
                ProcessHolder(pid: 13, name: "other", device: DeviceNumber(major: 234, minor: 1)),
            ]
        ]
        let shown = try Inventory(root: host.root).withUsage(on: host).namespaces
        #expect(shown.first?.holders == [.init(kind: "process", name: "ib_write_bw", pid: 12)])
        let error = #expect(throws: IopmemError.self) {
            try operation(host).destroy(try current(made, host), DestroyRequest()) { _ in }
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("it is open in ib_write_bw (pid 12)") == true)
    }

    @Test("p2pdma: one for each device, published or not, and it goes with the binding alone")
    func peerMemory() throws {
        let host = try boundHost()
        var wanted = request(.p2pdma, .bytes(64 << 20))
        wanted.publish = true
        let made = try #require(try operation(host).create(wanted))
        #expect(made.path == "/sys/bus/pci/devices/\(card)/p2pmem/allocate")
        #expect(made.isPublished == true)
        let second = #expect(throws: IopmemError.self) {
            try operation(host).create(request(.p2pdma, .bytes(2 << 20)))
        }
        #expect(second?.exitStatus == 6)
        #expect(second?.message.contains("has one already") == true, "\(second?.message ?? "")")
        let kept = #expect(throws: IopmemError.self) {
            try operation(host).destroy(made, DestroyRequest(revoke: true)) { _ in }
        }
        #expect(kept?.exitStatus == 4)
        #expect(kept?.remedy == "iopmemctl unbind \(card)")
    }

    @Test("what cannot be taken back is told where a later step fails")
    func peerMemoryStays() throws {
        let host = try boundHost()
        // Up to and with the driver's own part: the wait for the node.
        let rehearsal = try boundHost()
        _ = try operation(rehearsal).create(request(.p2pdma, .bytes(64 << 20)))
        host.failingAct = rehearsal.acts.firstIndex { $0.hasPrefix("wait for") }
        let error = #expect(throws: IopmemError.self) {
            try operation(host).create(request(.p2pdma, .bytes(64 << 20)))
        }
        #expect(error?.message.contains("iopmem0n1 stays") == true)
        #expect(error?.message.contains("only when \(card) is unbound") == true)
    }

    private func boundHost() throws -> SimulatedHost {
        let host = try SimulatedHost()
        host.version = DriverVersion(
            abi: 1, modes: 0b11110, maps: 1 << 1, release: "0.1.0")
        try host.bindToIopmem(card)
        return host
    }

    private func operation(_ host: SimulatedHost) -> Operation {
        Operation(on: host, telling: RecordingListener())
    }

    private func current(_ namespace: Namespace, _ host: SimulatedHost) throws -> Namespace {
        try #require(try Inventory(root: host.root).namespaces.first { $0.uuid == namespace.uuid })
    }

    private func request(
        _ mode: Namespace.Mode, _ size: CreateRequest.Size, name: String = ""
    ) -> CreateRequest {
        CreateRequest(
            device: PCIAddress(card) ?? PCIAddress(bus: 0, device: 0, function: 0),
            size: size, mode: mode, name: name)
    }
}
