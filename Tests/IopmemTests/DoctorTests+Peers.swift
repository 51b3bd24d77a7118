// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Clients of the memory, and the way between.
extension DoctorTests {
    private static let drive =
        "/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/0000:02:01.0/0000:04:00.0"

    @Test("a client from outside is not trusted, where an IOMMU could keep it in")
    func untrusted() throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("untrusted", host) == nil)
        try host.tree.write("fixed", to: "\(Self.drive)/removable")
        #expect(try status("untrusted", host) == .ok)
        try host.tree.write("removable", to: "\(Self.drive)/removable")
        #expect(try status("untrusted", host) == .ok)
        try host.tree.write("DMA-FQ", to: "\(Self.drive)/iommu_group/type")
        #expect(try status("untrusted", host) == .warning)
    }

    @Test(
        "a drive whose DMA does not reach the memory has bounce buffers, unless an IOMMU translates",
        arguments: [
            ("64", nil, Check.Status.ok), ("32", nil, .ok), ("31", nil, .problem),
            ("31", "identity", .problem), ("31", "DMA", .ok), ("", nil, .unknown),
        ])
    func reach(bits: String, iommu: String?, expected: Check.Status) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(bits, to: "\(Self.drive)/dma_mask_bits")
        if let iommu { try host.tree.write(iommu, to: "\(Self.drive)/iommu_group/type") }
        let subject = "0000:04:00.0 → 0000:03:00.0"
        let checks = try Doctor(host).examine([]).filter { $0.id == "dma_mask" }
        #expect(checks.first { $0.subject == subject }?.status == expected)
    }

    @Test("a drive that may not do DMA is a warning")
    func busMaster() throws {
        let host = try SimulatedHost(.mounted)
        func drive() throws -> Check.Status? {
            try Doctor(host).examine([]).first {
                $0.id == "bus_master" && $0.subject.hasPrefix("0000:04:00.0")
            }?.status
        }
        #expect(try drive() == .ok)
        var config = try host.root.bytes("\(Self.drive)/config")
        config[4] &= ~4
        try host.tree.write(config, to: "\(Self.drive)/config")
        #expect(try drive() == .warning)
    }

    @Test("the way between a drive and the memory is judged for each pair")
    func peerPath() throws {
        let host = try SimulatedHost(.mounted)
        func ways() throws -> [String: Check.Status] {
            let checks = try Doctor(host).examine([]).filter { $0.id == "peer_path" }
            return Dictionary(checks.map { ($0.subject, $0.status) }) { $1 }
        }
        // The captured registers end before the extended capabilities.
        #expect(try ways()["0000:04:00.0 → 0000:03:00.0"] == .unknown)
        let bridges = "/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0"
        for function in ["", "/0000:02:00.0", "/0000:02:01.0", "/0000:02:01.0/0000:04:00.0"] {
            let path = "\(bridges)\(function)/config"
            let config = try host.root.bytes(path)
            try host.tree.write(
                config + [UInt8](repeating: 0, count: 4096 - config.count), to: path)
        }
        #expect(try ways()["0000:04:00.0 → 0000:03:00.0"] == .ok)
        // Access Control Services in a downstream port, with P2P Request Redirect.
        let port = "\(bridges)/0000:02:01.0/config"
        var config = try host.root.bytes(port)
        for (offset, byte) in [(0x100, 0x0d), (0x102, 1), (0x106, 4)] as [(Int, UInt8)] {
            config[offset] = byte
        }
        try host.tree.write(config, to: port)
        #expect(try ways()["0000:04:00.0 → 0000:03:00.0"] == .warning)
    }

    @Test(
        "a root complex that is not known to forward is a warning, without any access control",
        arguments: [
            ("GenuineIntel", 6, Check.Status.warning), ("AuthenticAMD", 0x16, .warning),
            ("AuthenticAMD", 0x17, .ok),
        ])
    func hostBridge(vendor: String, family: Int, expected: Check.Status) throws {
        let host = try SimulatedHost()
        try host.bindToIopmem("0000:00:10.0")
        try host.tree.write(
            "vendor_id\t: \(vendor)\ncpu family\t: \(family)\n", to: "/proc/cpuinfo")
        let check = try #require(
            try Doctor(host).examine([]).first {
                $0.id == "peer_path" && $0.subject == "0000:00:12.0 → 0000:00:10.0"
            })
        #expect(check.status == expected, "\(check)")
        #expect(check.finding.hasPrefix("no PCI bridge is above both"))
        #expect(!check.finding.contains("ACS"))
        #expect(check.finding.contains("not known to forward them") == (expected == .warning))
        #expect(
            (check.remedy == "put both devices below one PCIe switch") == (expected == .warning))
    }

    @Test(
        "the IOMMU is judged by how it treats the device",
        arguments: [("identity", Check.Status.ok), ("DMA", .warning), ("DMA-FQ", .warning)])
    func iommu(type: String, expected: Check.Status) throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("iommu", host) == .ok)
        let path = try #require(host.root.realPath("/sys/bus/pci/devices/0000:03:00.0"))
        try host.tree.write(type, to: "\(path)/iommu_group/type")
        #expect(try status("iommu", host) == expected)
    }

    @Test(
        "forced bounce buffers are a problem",
        arguments: [
            ("swiotlb=force", Check.Status.problem), ("swiotlb=65536,force", .problem),
            ("swiotlb=65536", .ok), ("quiet", .ok),
        ])
    func bounceBuffers(line: String, expected: Check.Status) throws {
        let host = try SimulatedHost()
        try host.tree.write("root=/dev/sda1 \(line)", to: "/proc/cmdline")
        #expect(try status("swiotlb", host) == expected)
    }
}
