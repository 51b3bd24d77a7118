// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Files about cards and exports, and what carries them out.
extension DoctorTests {
    @Test("files about cards are looked at, and with them what carries them out")
    func configuration() throws {
        let host = try SimulatedHost()
        #expect(try status("config", host) == nil)
        #expect(try status("restore_unit", host) == nil)
        let path = "/etc/iopmem/card.conf"
        for (text, wanted) in [
            ("[device]\nid = 1af4:1110\n", Check.Status.ok),
            ("[device]\nid = 1af4:1111\n", .warning),
            ("[device]\n", .problem), ("[device]\npath = 00:10.0\nid = 1af4:1111\n", .problem),
        ] {
            try host.tree.write(text, to: path)
            #expect(try status("config", host) == wanted, "\(text)")
        }
        #expect(try status("udev_cards", host) == .problem)
        let units = ["iopmem-restore@.service", "iopmem-restore.service"]
        #expect(try missing("restore_unit", host) == units)
        try host.tree.write("", to: "/etc/udev/rules.d/59-iopmem-cards.rules")
        #expect(try status("udev_cards", host) == .ok)
        // Each is asked for by itself.
        for unit in units {
            try host.tree.write("", to: "/usr/lib/systemd/system/\(unit)")
            #expect(try missing("restore_unit", host) == units.filter { $0 != unit })
            try host.tree.remove("/usr/lib/systemd/system/\(unit)")
        }
        for unit in units { try host.tree.write("", to: "/usr/lib/systemd/system/\(unit)") }
        #expect(try missing("restore_unit", host).isEmpty)
        #expect(try status("restore_unit", host) == .ok)
    }

    /// The subjects of such checks that found a problem.
    private func missing(_ id: String, _ host: SimulatedHost) throws -> [String] {
        try Doctor(host).examine([]).filter { $0.id == id && $0.status == .problem }.map(\.subject)
    }

    @Test("files about exports are looked at, and with them what carries them out")
    func shares() throws {
        let host = try SimulatedHost()
        let path = "/etc/iopmem/shares/00000000-0000-4000-8000-00000000000f.conf"
        try host.tree.write("[share]\naddress = ::1\nhosts = any\n", to: path)
        #expect(try status("config", host) == .warning)
        try host.tree.write("[share]\n", to: path)
        #expect(try status("config", host) == .problem)
        #expect(try status("share_unit", host) == .problem)
        #expect(try status("restore_unit", host) == nil)
        try host.tree.write("", to: "/usr/lib/systemd/system/iopmem-share@.service")
        #expect(try status("share_unit", host) == .ok)
    }

    @Test(
        "missing udev rules are a warning wherever udev looks for them",
        arguments: ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"])
    func udevRules(directory: String) throws {
        let host = try SimulatedHost()
        #expect(try status("udev_rules", host) == .warning)
        try host.tree.write("", to: "\(directory)/udev/rules.d/60-iopmem.rules")
        #expect(try status("udev_rules", host) == .ok)
    }
}
