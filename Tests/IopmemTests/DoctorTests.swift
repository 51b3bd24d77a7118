// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// What doctor finds on machines with one thing wrong.
@Suite("Doctor")
struct DoctorTests {
    @Test("a machine without a card has no problem")
    func plainMachine() throws {
        let host = try SimulatedHost()
        for card in ["0000:00:10.0", "0000:00:11.0"] {
            try host.tree.remove("/sys/bus/pci/devices/\(card)")
        }
        let checks = try Doctor(host).examine([])
        #expect(!checks.contains { $0.status == .problem })
        #expect(!checks.contains { $0.id == "bar" })
    }

    @Test("every warning and problem has its remedy")
    func remedies() throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write("swiotlb=force", to: "/proc/cmdline")
        try host.tree.write("[integrity]", to: "/sys/kernel/security/lockdown")
        host.version.abi = 9
        let checks = try Doctor(host).examine(
            ["00:10.0", "00:1f.0", "03:00.0", "04:00.0"].map { try address($0) })
        let faults = checks.filter { $0.status == .problem || $0.status == .warning }
        #expect(faults.count >= 5)
        // A bridge, a function without memory, and one with too little of it.
        for finding in ["it is a bridge", "it has no memory BAR", "too small"] {
            #expect(faults.contains { $0.finding.contains(finding) }, "\(finding)")
        }
        #expect(faults.allSatisfy { $0.remedy?.isEmpty == false })
    }

    @Test("looking changes nothing")
    func readOnly() throws {
        let host = try SimulatedHost(.mounted)
        let before = try host.tree.snapshot()
        _ = try Doctor(host).examine([])
        #expect(try host.tree.snapshot() == before)
    }

    /// What the first check of this name says; nil if there is none.
    func status(_ id: String, _ host: SimulatedHost) throws -> Check.Status? {
        try Doctor(host).examine([]).first { $0.id == id }?.status
    }
}

extension Doctor {
    /// Of the tool that belongs to the simulated driver.
    init(_ host: any Host) { self.init(host, release: "0.1.0") }
}
