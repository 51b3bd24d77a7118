// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import SystemPackage
import Testing

/// BARs that can be given another size.
@Suite("Resizable BARs")
struct ResizeTests {
    static let address = LabelledHost.address
    let host: SimulatedHost

    /// The first card's BAR 2 has 256 MiB, and can have 64 MiB to 1 GiB.
    init() throws {
        host = try SimulatedHost()
        let directory = try #require(
            host.root.realPath("/sys/bus/pci/devices/\(LabelledHost.card)"))
        try host.tree.write("00000000000007c0", to: "\(directory)/resource2_resize")
    }

    private var size: UInt64? {
        get throws {
            try DeviceList(root: host.root).device(at: Self.address).bars.first { $0.index == 2 }?
                .size
        }
    }

    private func bind(_ size: UInt64, bar: Int? = nil, dryRun: Bool = false) throws -> Device {
        try Operation(on: host, telling: RecordingListener()).bind(
            BindRequest(
                address: Self.address, bar: bar, resize: size, persist: true, dryRun: dryRun))
    }

    private func refusal(_ size: UInt64, bar: Int? = nil) throws -> IopmemError {
        try #require(throws: IopmemError.self) { try bind(size, bar: bar) }
    }

    @Test("the sizes are those of the kernel's set")
    func sizes() throws {
        let device = try DeviceList(root: host.root).device(at: Self.address)
        #expect(device.bars.map(\.resizableSizes) == [[], (26...30).map { 1 << $0 }])
    }

    @Test("the BAR gets its size before it becomes a region, and it is written down")
    func resized() throws {
        _ = try bind(1 << 30, dryRun: true)
        #expect(try size == 256 << 20)
        #expect(try bind(1 << 30).isBound)
        #expect(try size == 1 << 30)
        #expect(try Inventory(root: host.root).regions.first?.size == 1 << 30)
        let file = try CardFolder(root: host.root).entries.first?.reading.file
        #expect(file?.resizeBar == 1 << 30)
        // Again is nothing; another size is not for a bound card.
        #expect(try bind(1 << 30).isBound)
        #expect(try refusal(512 << 20).message.contains("bound to iopmem already"))
    }

    @Test("a card that its driver took by itself gets its size when it is restored")
    func restored() throws {
        _ = try bind(1 << 30)
        let operation = Operation(on: host, telling: RecordingListener())
        _ = try operation.unbind(Self.address, dryRun: false)
        _ = try operation.bind(BindRequest(address: Self.address, resize: 64 << 20))
        _ = try operation.restore(RestoreRequest(address: Self.address))
        #expect(try size == 1 << 30)
    }

    @Test("the size that it has changes nothing")
    func same() throws {
        #expect(try bind(256 << 20).isBound)
        #expect(!host.acts.contains { $0.contains("_resize") })
    }

    @Test("what cannot be is refused with what can")
    func refusals() throws {
        let wrong = try refusal(2 << 30)
        #expect(wrong.exitStatus == 6)
        #expect(wrong.remedy == "choose one of 64M, 128M, 256M, 512M, 1G")
        #expect(try refusal(1 << 30, bar: 0).message.contains("BAR 0 is not resizable"))
        host.largestBar = 9
        let full = try refusal(1 << 30)
        #expect(
            full.message.contains("(writing /sys/bus/pci/devices/0000:00:10.0/resource2_resize)"))
        #expect(try size == 256 << 20)
        #expect(host.acts.allSatisfy { !$0.contains("prepare") || $0 == "prepare" })
    }

    @Test("whatever fails afterwards, the old size and the old driver are back")
    func undone() throws {
        try host.bind(LabelledHost.card, to: "old")
        let request = BindRequest(address: Self.address, resize: 64 << 20, force: true)
        let before = try host.tree.snapshot()
        var failed = 0
        for act in 0..<40 {
            host.failingAct = host.acts.count + act
            let device = try? Operation(on: host, telling: RecordingListener()).bind(request)
            host.failingAct = nil
            guard device == nil else { break }
            failed += 1
            #expect(try size == 256 << 20, "act \(act)")
            #expect(try host.tree.snapshot() == before, "act \(act)")
        }
        #expect(failed > 5 && failed < 40)
    }
}

/// The link of a function.
@Suite("PCI links")
struct PCILinkTests {
    private func link(_ current: (String, String), max: (String, String)? = nil) throws -> PCILink?
    {
        let tree = try TemporaryDirectory()
        let device = "/sys/devices/x"
        try tree.write(current.0, to: "\(device)/current_link_speed")
        try tree.write(current.1, to: "\(device)/current_link_width")
        if let max {
            try tree.write(max.0, to: "\(device)/max_link_speed")
            try tree.write(max.1, to: "\(device)/max_link_width")
        }
        return PCILink(of: device, root: tree.root)
    }

    @Test(
        "the bandwidth is that of the encoding",
        arguments: [
            ("2.5 GT/s PCIe", "1", 250_000_000 as UInt64), ("5.0 GT/s PCIe", "4", 2_000_000_000),
            ("8.0 GT/s PCIe", "4", 3_938_461_538), ("16.0 GT/s PCIe", "16", 31_507_692_307),
            ("32.0 GT/s PCIe", "16", 63_015_384_615), ("64.0 GT/s PCIe", "16", 118_000_000_000),
        ])
    func bandwidth(speed: String, width: String, bytes: UInt64) throws {
        #expect(try link((speed, width))?.bandwidth == bytes)
    }

    @Test("a link that is slower than it could be says so")
    func reduced() throws {
        let link = try #require(try link(("8.0 GT/s PCIe", "4"), max: ("16.0 GT/s PCIe", "8")))
        #expect(link.isReduced)
        #expect("\(link)" == "8.0 GT/s x4 of 16.0 GT/s x8, 3.9 GB/s")
        #expect("\(try #require(try self.link(("2.5 GT/s PCIe", "1"))))" == "2.5 GT/s x1, 0.2 GB/s")
    }

    @Test("no link, no words", arguments: [("Unknown", "0"), ("8.0 GT/s PCIe", "0"), ("", "")])
    func none(speed: String, width: String) throws {
        #expect(try link((speed, width)) == nil)
    }
}
