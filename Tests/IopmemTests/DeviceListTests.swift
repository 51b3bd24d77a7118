// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Which BARs can be regions, on captured machines.
@Suite("Devices")
struct DeviceListTests {
    @Test("the card's large BAR is eligible and its registers are too small")
    func card() throws {
        let tree = try CapturedTree.twoCards.unpack()
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.vendorID == 0x1af4)
        #expect(card.deviceID == 0x1110)
        #expect(card.driver == nil)
        #expect(card.bars.map(\.index) == [0, 2])
        #expect(card.bars[0].problem == .tooSmall(256))
        #expect(card.bars[1].problem == nil)
        #expect(card.bars[1].size == 256 << 20)
        #expect(card.bars[1].physicalAddress == 0xe000_0000)
        #expect(card.bars[1].flags == ["memory", "64bit", "prefetchable"])
    }

    @Test("one function can be read alone, and is the same")
    func alone() throws {
        let tree = try CapturedTree.mounted.unpack()
        let all = try DeviceList(root: tree.root).devices
        for device in all {
            let alone = try DeviceList(root: tree.root, only: device.address).devices
            #expect(alone == [device])
        }
        #expect(try DeviceList(root: tree.root, only: address("7f:00.0")).devices.isEmpty)
        #expect(all.count > 3)
    }

    @Test("an NVMe drive has its driver and no eligible BAR")
    func drive() throws {
        let tree = try CapturedTree.twoCards.unpack()
        let drive = try DeviceList(root: tree.root).device(at: address("00:12.0"))
        #expect(drive.driver == "nvme")
        #expect(drive.bars.map(\.problem) == [.tooSmall(16384)])
    }

    @Test("a bound card's BAR names its region")
    func bound() throws {
        let tree = try CapturedTree.mounted.unpack()
        let card = try DeviceList(root: tree.root).device(at: address("03:00.0"))
        #expect(card.isBound)
        #expect(card.bars.map(\.region) == [nil, "iopmem0"])
    }

    @Test("a bridge's memory is never eligible")
    func bridge() throws {
        let tree = try CapturedTree.mounted.unpack()
        let port = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(port.isBridge)
        #expect(port.bars.allSatisfy { $0.problem == .bridge })
    }

    /// What stands in sysfs' `resource` for BAR 2, and in the configuration
    /// space, decides.
    @Test(
        "each reason is told apart",
        arguments: [
            ("0x0000000000001000 0x000000000000101f 0x0000000000040101", BarProblem.ports),
            ("0x00000000e0000000 0x00000000e00fffff 0x000000000014220c", .tooSmall(1 << 20)),
            ("0x0000000000000000 0x000000000fffffff 0x000000002014220c", .unassigned),
            ("0x00000000e0000000 0x00000000efffffff 0x0000000000140204", .notPrefetchable),
            ("0x00000000e0100000 0x00000000f00fffff 0x000000000014220c", .misaligned),
        ])
    func reasons(resource: String, problem: BarProblem) throws {
        let tree = try CapturedTree.twoCards.unpack()
        try setResource(resource, in: tree)
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.bars.last?.problem == problem)
        #expect(card.bars.last?.problem?.yieldsToForce == (problem == .notPrefetchable))
    }

    /// BAR 2's register is at 0x18; kernels that found no room leave zeros in `resource`.
    @Test(
        "a BAR that the kernel forgot is known by its register",
        arguments: [
            (0x0c, ["memory", "64bit", "prefetchable"]), (0x08, ["memory", "prefetchable"]),
            (0x04, ["memory", "64bit"]), (0x00, nil),
            // I/O ports, or a device that does not answer.
            (0x01, nil), (0xff, nil),
        ] as [(UInt8, [String]?)])
    func forgotten(register: UInt8, flags: [String]?) throws {
        let tree = try CapturedTree.twoCards.unpack()
        let zero = "0x0000000000000000"
        try setResource("\(zero) \(zero) \(zero)", in: tree)
        var config = try tree.root.bytes("\(devicePath)/config")
        config.replaceSubrange(0x18..<0x20, with: [register, 0, 0, 0, 0, 0, 0, 0])
        try tree.write(config, to: "\(devicePath)/config")
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.bars.map(\.index) == (flags == nil ? [0] : [0, 2]))
        guard let flags else { return }
        #expect(card.bars[1].flags == flags)
        #expect(card.bars[1].size == 0)
        #expect(card.bars[1].problem == .unassigned)
    }

    @Test("the upper half of a 64-bit BAR is none of its own")
    func upperHalf() throws {
        let tree = try CapturedTree.twoCards.unpack()
        var config = try tree.root.bytes("\(devicePath)/config")
        config[0x1c] = 0x0c
        try tree.write(config, to: "\(devicePath)/config")
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.bars.map(\.index) == [0, 2])
    }

    @Test(
        "memory above what the kernel can make struct pages for is out of reach",
        arguments: [
            ("46 bits physical, 48 bits virtual", "fpu sse", 46),
            ("52 bits physical, 48 bits virtual", "fpu sse", 46),
            ("52 bits physical, 57 bits virtual", "fpu la57 sse", 52),
            ("39 bits physical, 48 bits virtual", "fpu sse", 39),
            ("46 bits physical, 57 bits virtual", "fpu la57", 46),
        ] as [(sizes: String, flags: String, bits: UInt64)])
    func outOfReach(sizes: String, flags: String, bits: UInt64) throws {
        let tree = try CapturedTree.twoCards.unpack()
        func problem(at start: UInt64) throws -> BarProblem? {
            let words = [start, start + (256 << 20) - 1].map { "0x" + String($0, radix: 16) }
            try setResource("\(words[0]) \(words[1]) 0x000000000014220c", in: tree)
            return try DeviceList(root: tree.root).device(at: address("00:10.0")).bars.last?.problem
        }
        let end: UInt64 = 1 << bits
        // Nobody tells.
        #expect(try problem(at: end) == nil)
        try tree.write(
            "processor\t: 0\nflags\t\t: \(flags)\naddress sizes\t: \(sizes)\n\nprocessor\t: 1\n",
            to: "/proc/cpuinfo")
        #expect(try problem(at: end) == .outOfReach(end))
        #expect(try problem(at: end - (2 << 20)) == .outOfReach(end))
        #expect(try problem(at: end - (256 << 20)) == nil)
    }

    @Test("the BAR with the MSI-X table is refused, whatever its size")
    func msix() throws {
        let tree = try CapturedTree.twoCards.unpack()
        try putMSIX(table: 2, pending: 2, in: tree)
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.bars.last?.problem == .interrupts)
    }

    @Test("the BAR with the pending bits alone is refused as well")
    func pendingBits() throws {
        let tree = try CapturedTree.twoCards.unpack()
        try putMSIX(table: 1, pending: 2, in: tree)
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.bars.last?.problem == .interrupts)
    }

    @Test("who may read only 64 bytes of configuration space gets \"unknown\"")
    func unprivileged() throws {
        let tree = try CapturedTree.twoCards.unpack()
        try putMSIX(table: 1, pending: 1, in: tree)
        let config = "\(devicePath)/config"
        try tree.write(Array(try tree.root.bytes(config).prefix(64)), to: config)
        let card = try DeviceList(root: tree.root).device(at: address("00:10.0"))
        #expect(card.bars.last?.problem == .unknown)
    }

    @Test("an unknown function is exit 3")
    func unknown() throws {
        let tree = try CapturedTree.twoCards.unpack()
        let error = #expect(throws: IopmemError.self) {
            try DeviceList(root: tree.root).device(at: address("7f:1f.7"))
        }
        #expect(error?.exitStatus == 3)
    }

    @Test("a machine without PCI has no devices")
    func noBus() throws {
        let tree = try TemporaryDirectory()
        #expect(try DeviceList(root: tree.root).devices.isEmpty)
    }

    private let devicePath = "/sys/devices/pci0000:00/0000:00:10.0"

    private func setResource(_ line: String, in tree: TemporaryDirectory) throws {
        let path = "\(devicePath)/resource"
        var lines = try tree.root.text(path).split(separator: "\n").map(String.init)
        lines[2] = line
        try tree.write(lines.joined(separator: "\n"), to: path)
    }

    /// Puts an MSI-X capability at 0x80 (PCI 3.0, 6.8.2).
    private func putMSIX(table: UInt8, pending: UInt8, in tree: TemporaryDirectory) throws {
        let path = "\(devicePath)/config"
        var config = try tree.root.bytes(path)
        config[6] |= 0x10
        config[0x34] = 0x80
        config.replaceSubrange(
            0x80..<0x8c, with: [0x11, 0, 0, 0, table, 0, 0, 0, pending, 0x10, 0, 0])
        try tree.write(config, to: path)
    }
}

/// An address that a test writes itself.
func address(_ text: String) throws -> PCIAddress {
    try #require(PCIAddress(text))
}
