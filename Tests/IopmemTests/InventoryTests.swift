// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Regions and namespaces, read from captured machines.
@Suite("Inventory")
struct InventoryTests {
    @Test("without the driver it is empty")
    func empty() throws {
        let tree = try CapturedTree.twoCards.unpack()
        #expect(try Inventory(root: tree.root) == Inventory())
    }

    @Test("regions and namespaces come with everything that sysfs says")
    func attributes() throws {
        let tree = try CapturedTree.mounted.unpack()
        let inventory = try Inventory(root: tree.root)
        let region = try #require(inventory.regions.first)
        #expect(inventory.regions.count == 1)
        #expect(region.dev == "iopmem0")
        #expect(region.device.description == "0000:03:00.0")
        #expect(region.bar == 2)
        #expect(region.size == 256 << 20)
        #expect(region.availableSize == 160 << 20)
        #expect(region.maxAvailableExtent == 160 << 20)
        #expect(region.physicalAddress == 0xd000_0000)
        #expect(region.prefetchable)
        #expect(!region.isCachedByPlatform)
        #expect(inventory.namespaces.map(\.dev) == ["iopmem0n1", "iopmem0n2"])
        let second = try #require(inventory.namespaces.last)
        #expect(second.mode == .raw)
        #expect(second.map == nil)
        #expect(second.offset == 64 << 20)
        #expect(second.physicalAddress == 0xd400_0000)
        #expect(second.cacheUser == nil)
        #expect(second.state == .enabled)
    }

    @Test("a namespace answers to its kernel name, name, UUID and paths")
    func lookup() throws {
        let tree = try CapturedTree.mounted.unpack()
        try tree.write("", to: "/dev/iopmem0n1")
        try tree.link("/dev/iopmem/by-name/scratch", to: "../../iopmem0n1")
        let inventory = try Inventory(root: tree.root)
        let uuid = "\(inventory.namespaces[0].uuid)"
        let names = [
            "iopmem0n1", "scratch", uuid, uuid.uppercased(), "/dev/iopmem0n1",
            "/dev/iopmem/by-name/scratch",
        ]
        for name in names {
            #expect(try inventory.namespace(named: name, root: tree.root).dev == "iopmem0n1")
        }
    }

    @Test(
        "everything else is exit 3",
        arguments: [
            "", "iopmem0", "iopmem0n3", "iopmem0n1p1", "/dev/iopmem0n2p1", "/dev/none", "Scratch",
            "00000000-0000-0000-0000-000000000000",
        ])
    func unknown(name: String) throws {
        let tree = try CapturedTree.mounted.unpack()
        let inventory = try Inventory(root: tree.root)
        let error = #expect(throws: IopmemError.self) {
            try inventory.namespace(named: name, root: tree.root)
        }
        #expect(error?.code == .notFound)
    }

    @Test("as root, file systems come from libblkid; mounts and partitions' holders are named")
    func usageAsRoot() throws {
        let host = try SimulatedHost(.mounted)
        host.nodeSignatures["/dev/iopmem0n1"] = [
            Signature(kind: .superblock, type: "ext4", uuid: "f00d")
        ]
        host.processAnswers = [
            [
                ProcessHolder(
                    pid: 7, name: "fio", device: DeviceNumber(major: 259, minor: 1))
            ]
        ]
        let found = try Inventory(root: host.root).withUsage(on: host).namespaces
        #expect(
            found[0].filesystem
                == Namespace.Filesystem(type: "ext4", uuid: "f00d", mountpoint: "/tmp/my mount"))
        #expect(
            found[0].holders == [
                Namespace.Holder(kind: "mount", name: "/tmp/my mount"),
                Namespace.Holder(kind: "process", name: "fio", pid: 7),
            ])
        #expect(found[1].filesystem == nil)
    }

    @Test("without root, file systems come from udev's database")
    func usageWithoutRoot() throws {
        let host = try SimulatedHost(.mounted)
        host.isPrivileged = false
        let found = try Inventory(root: host.root).withUsage(on: host).namespaces
        #expect(found[0].filesystem?.type == "ext4")
        #expect(found[0].filesystem?.mountpoint == "/tmp/my mount")
    }

    @Test("swap, device mapper and loop devices on a partition hold the namespace")
    func indirectHolders() throws {
        let host = try SimulatedHost(.mounted)
        let partition = try #require(host.root.realPath("/sys/class/block/iopmem0n2p1"))
        try host.tree.write(
            "Filename Type Size Used Priority\n/dev/iopmem0n2p2 partition 1 0 -2", to: "/proc/swaps"
        )
        try host.tree.link("\(partition)/holders/dm-0", to: "../../dm-0")
        try host.tree.write("crypt", to: "/sys/class/block/dm-0/dm/name")
        try host.tree.write("/dev/iopmem0n2", to: "/sys/class/block/loop3/loop/backing_file")
        let found = try Inventory(root: host.root).withUsage(on: host).namespaces
        #expect(
            Set(found[1].holders) == [
                Namespace.Holder(kind: "swap", name: "/dev/iopmem0n2p2"),
                Namespace.Holder(kind: "dm", name: "crypt"),
                Namespace.Holder(kind: "loop", name: "loop3"),
            ])
    }

    @Test("an object that goes away while it is read is left out")
    func vanishing() throws {
        let tree = try CapturedTree.mounted.unpack()
        try tree.remove(try #require(tree.root.realPath("/sys/class/iopmem/iopmem0n1")))
        #expect(try Inventory(root: tree.root).namespaces.map(\.dev) == ["iopmem0n2"])
    }

    @Test("an object that cannot be understood is an error and not left out")
    func damaged() throws {
        let tree = try CapturedTree.mounted.unpack()
        let path = try #require(tree.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try tree.write("many", to: "\(path)/size")
        #expect(throws: IopmemError.self) { try Inventory(root: tree.root) }
    }
}
