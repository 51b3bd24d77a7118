// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// What is shown before data are lost.
@Suite("Data at risk")
struct DataAtRiskTests {
    @Test("of a drive: its model and serial number, what is on it, and who uses it")
    func drive() throws {
        let host = try SimulatedHost(.mounted)
        let disk = try #require(host.root.realPath("/sys/class/block/nvme0n1"))
        try host.tree.write("QEMU NVMe  Ctrl   \n", to: "\(disk)/device/model")
        try host.tree.write("nvme0\n", to: "\(disk)/device/serial")
        host.nodeSignatures["/dev/nvme0n1"] = [
            Signature(kind: .superblock, type: "xfs", label: "db")
        ]
        func lines() -> [String] {
            DataAtRisk(node: "/dev/nvme0n1", isBlock: true, disk: "nvme0n1", nil, on: host).lines
        }
        #expect(
            lines() == ["nvme0n1: QEMU NVMe Ctrl, serial nvme0", #"file system xfs "db""#])
        host.nodeSignatures = [:]
        try host.tree.write("Filename Type\n/dev/nvme0n1 partition\n", to: "/proc/swaps")
        #expect(lines().last == "no file system, used as swap space (/dev/nvme0n1)")
    }

    @Test("of a namespace: whose memory it is, with a number to tell its card from others")
    func namespace() throws {
        let host = try SimulatedHost(.mounted)
        let namespace = try Inventory(root: host.root).namespace(
            named: "scratch", root: host.root)
        let device = try DeviceList(root: host.root).device(at: namespace.device)
        let lines = DataAtRisk(of: namespace, on: host).lines
        #expect(lines.count == 3)
        #expect(lines[0] == "iopmem0n1 scratch: 64 MiB, fsdax, UUID \(namespace.uuid)")
        #expect(lines[1].hasPrefix("on BAR 2 of 0000:03:00.0, \(device.name)"))
        #expect(lines[1].contains("serial ") == (device.serial != nil))
        #expect(lines[2].contains("mounted on /tmp/my mount"))
    }
}
