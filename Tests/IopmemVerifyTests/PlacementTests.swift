// SPDX-License-Identifier: GPL-2.0
import SystemPackage
import Testing

@testable import Iopmem
@testable import IopmemSystem
@testable import IopmemVerify

@Suite("Placement of pages")
struct PlacementTests {
    static let window = BarWindow(
        bar: 0x8000_0000..<0x9000_0000, name: "BAR 2 of 0000:03:00.0",
        base: 0x8020_0000 + (1 << 20))
    static let extent = FileExtent(
        logical: 8192, physical: 4 << 20, length: 16384, isPlain: true)

    private func judge(
        _ address: UInt64?, at offset: UInt64, _ extent: FileExtent? = extent
    ) throws -> Placement {
        let scratch = try Scratch()
        try scratch.write("file", "")
        let check = PlacementCheck(
            file: try OpenFile(scratch.path("file")), window: Self.window)
        var placement = Placement()
        check.judge(address, at: offset, extent, &placement)
        return placement
    }

    @Test("a page is right where namespace, partition, extent and offset add up")
    func direct() throws {
        let right = 0x8020_0000 + (1 << 20) + (4 << 20) + 4096 as UInt64
        #expect(try judge(right, at: 12288).isDirect)
        #expect(try judge(right, at: 12288).stray == nil)
    }

    @Test("a page elsewhere in the BAR is not where the file system says")
    func elsewhereInBar() throws {
        let placement = try judge(0x8100_0000, at: 12288)
        #expect(placement.pagesInBar == 1)
        #expect(placement.pagesAsMapped == 0)
        #expect(!placement.isDirect)
        #expect(placement.stray?.contains("at 0x81000000 and should be at 0x80701000") == true)
    }

    @Test("a page in RAM, an absent page and a hole are not direct")
    func stray() throws {
        #expect(try judge(0x1234_5000, at: 12288).pagesInBar == 0)
        #expect(try judge(nil, at: 12288).stray?.contains("not present") == true)
        let hole = try judge(0x8100_0000, at: 12288, nil)
        #expect(!hole.isDirect)
        let encoded = FileExtent(logical: 8192, physical: 0, length: 16384, isPlain: false)
        #expect(try !judge(0x8100_0000, at: 12288, encoded).isDirect)
    }

    @Test("no page looked at proves nothing")
    func nothing() {
        #expect(!Placement().isDirect)
    }

    @Test("the BAR's range comes from the PCI core, not from our driver")
    func window() throws {
        let scratch = try Scratch()
        try scratch.write(
            "sys/bus/pci/devices/0000:03:00.0/resource",
            """
            0x00000000fe000000 0x00000000fe0000ff 0x0000000000040200
            0x0000000000000000 0x0000000000000000 0x0000000000000000
            0x00000000d0000000 0x00000000dfffffff 0x000000000014220c

            """)
        let root = SystemRoot(prefix: scratch.folder)
        var namespace = try Namespace.sample()
        let found = try BarWindow(namespace, start: 4096, root: root)
        #expect(found.bar == 0xd000_0000..<0xe000_0000)
        #expect(found.base == 0xd020_0000 + 4096)
        namespace.bar = 1
        #expect(throws: IopmemError.self) { try BarWindow(namespace, start: 0, root: root) }
        namespace.bar = 5
        #expect(throws: IopmemError.self) { try BarWindow(namespace, start: 0, root: root) }
    }

    @Test("a mapping in RAM is told from one in a BAR by its real page frames")
    func realFrames() throws {
        let scratch = try Scratch()
        try scratch.write("file", [UInt8](repeating: 1, count: 64 * 1024))
        let file = try OpenFile(scratch.path("file"), .write)
        let mapping = try FileMapping(file, offset: 0, length: 64 * 1024, writable: false)
        try mapping.populate(at: 0, length: 64 * 1024, writing: false)
        var present = 0
        do throws(Errno) {
            try PageMap().forEachPage(of: UnsafeRawBufferPointer(mapping.bytes)) { _, address in
                present += address == nil ? 0 : 1
            }
            #expect(present == 16)
        } catch {
            // Without CAP_SYS_ADMIN frames are hidden, and that is said.
            #expect(error == .notPermitted)
        }
    }
}

@Suite("Block devices in sysfs")
struct BlockDeviceTests {
    let scratch: Scratch
    var root: SystemRoot { SystemRoot(prefix: scratch.folder) }

    init() throws {
        scratch = try Scratch()
        let card = "devices/pci0000:00/0000:00:10.0/0000:03:00.0"
        let disk = "\(card)/iopmem/iopmem0/iopmem0n1/block/iopmem0n1"
        try scratch.write("sys/\(disk)/iopmem0n1p2/partition", "2\n")
        try scratch.write("sys/\(disk)/iopmem0n1p2/start", "2048\n")
        try scratch.link("sys/dev/block/259:0", to: "../../\(disk)")
        try scratch.link("sys/dev/block/259:2", to: "../../\(disk)/iopmem0n1p2")
        try scratch.write("sys/devices/virtual/block/loop0/size", "8\n")
        try scratch.link("sys/dev/block/7:0", to: "../../devices/virtual/block/loop0")
        let controller = "devices/pci0000:00/0000:04:00.0/nvme/nvme0"
        try scratch.write("sys/\(controller)/model", "x\n")
        let subsystem = "devices/virtual/nvme-subsystem/nvme-subsys0"
        try scratch.link("sys/\(subsystem)/nvme0", to: "../../../../\(controller)")
        try scratch.write("sys/\(subsystem)/nvme0n1/size", "8\n")
        try scratch.link("sys/\(subsystem)/nvme0n1/device", to: "../../nvme-subsys0")
        try scratch.link("sys/dev/block/259:5", to: "../../\(subsystem)/nvme0n1")
    }

    @Test("a partition knows its disk, its start in bytes and its PCI function")
    func partition() throws {
        let found = try BlockDevice(DeviceNumber(major: 259, minor: 2), root: root)
        #expect(found.name == "iopmem0n1p2")
        #expect(found.disk == "iopmem0n1")
        #expect(found.start == 1 << 20)
        #expect(found.pciFunction == "0000:03:00.0")
    }

    @Test("a disk begins at 0")
    func disk() throws {
        let found = try BlockDevice(DeviceNumber(major: 259, minor: 0), root: root)
        #expect(found.disk == "iopmem0n1")
        #expect(found.start == 0)
    }

    @Test("an NVMe multipath disk has the function of its only controller")
    func multipath() throws {
        let found = try BlockDevice(DeviceNumber(major: 259, minor: 5), root: root)
        #expect(found.pciFunction == "0000:04:00.0")
    }

    @Test("a loop device has no function, and an unknown number no device")
    func others() throws {
        #expect(
            try BlockDevice(DeviceNumber(major: 7, minor: 0), root: root).pciFunction == nil)
        #expect(throws: Errno.noSuchAddressOrDevice) {
            try BlockDevice(DeviceNumber(major: 1, minor: 1), root: root)
        }
    }
}

extension Namespace {
    /// A namespace as `create` makes it, 2 MiB into BAR 2.
    static func sample() throws -> Namespace {
        Namespace(
            dev: "iopmem0n1", id: 1, name: "", uuid: .random(), mode: .fsdax, map: .mem,
            size: 64 << 20, align: 2 << 20, region: "iopmem0",
            device: try #require(PCIAddress("0000:03:00.0")), bar: 2, offset: 2 << 20,
            physicalAddress: 0xd020_0000, numaNode: 0, state: .enabled, openers: 0)
    }
}
