// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Cards: their BARs, links and caches, and what may hold a namespace.
extension DoctorTests {
    /// The first card's; the second is taken away, so that nothing else is to be said.
    private static let card = "/sys/devices/pci0000:00/0000:00:10.0"

    /// A machine with one card, whose BAR 2 stands so in sysfs' `resource`.
    private func machine(bar: String) throws -> SimulatedHost {
        let host = try SimulatedHost()
        try host.tree.remove("/sys/bus/pci/devices/0000:00:11.0")
        var lines = try host.root.text("\(Self.card)/resource").split(separator: "\n")
        lines[2] = Substring(bar)
        try host.tree.write(lines.joined(separator: "\n"), to: "\(Self.card)/resource")
        return host
    }

    @Test(
        "a card whose memory got no address is a problem without being named",
        arguments: [
            ("0x0000000000000000 0x000000000fffffff 0x000000002014220c", "256 MiB"),
            // As kernels leave it that forget what they found no room for.
            ("0x0000000000000000 0x0000000000000000 0x0000000000000000", "of unknown size"),
        ])
    func unassigned(bar: String, size: String) throws {
        let host = try machine(bar: bar)
        let checks = try Doctor(host).examine([]).filter { $0.id == "bar" }
        #expect(checks.map(\.subject) == ["0000:00:10.0 BAR 2"])
        #expect(checks.first?.status == .problem)
        #expect(checks.first?.finding.hasPrefix("\(size), no address was assigned") == true)
        #expect(checks.first?.remedy?.contains("pci=realloc") == true)
        // What is not there yet needs no module.
        try host.tree.write("6.12", to: "/proc/sys/kernel/osrelease")
        try host.tree.write("kernel/x.ko:", to: "/lib/modules/6.12/modules.dep")
        #expect(try status("module", host) == .warning)
        // Another driver lives with it, unless that device is the one that is meant.
        try host.bind("0000:00:10.0", to: "vfio-pci")
        #expect(try status("bar", host) == .warning)
        let named = try Doctor(host).examine([try address("00:10.0")])
        #expect(named.contains { $0.id == "bar" && $0.status == .problem })
    }

    @Test("a card whose memory is beyond the kernel's reach is a problem without being named")
    func outOfReach() throws {
        let host = try machine(bar: "0x400000000000 0x40000fffffff 0x000000000014220c")
        func bar() throws -> Check? { try Doctor(host).examine([]).first { $0.id == "bar" } }
        func processor(_ flags: String, bits: Int = 52) throws {
            try host.tree.write(
                "flags\t\t: \(flags)\naddress sizes\t: \(bits) bits physical, 57 bits virtual\n",
                to: "/proc/cpuinfo")
        }
        try processor("fpu la57")
        #expect(try bar()?.status == .ok)
        try processor("fpu")
        let check = try #require(try bar())
        #expect(check.status == .problem)
        #expect(check.finding.contains("256 MiB, above 0x3fffffffffff, the highest address"))
        #expect(check.remedy?.contains("below 64 TiB") == true)
        try host.tree.write("quiet no5lvl", to: "/proc/cmdline")
        #expect(try bar()?.remedy == "remove no5lvl from the kernel command line")
        // Where the processor has no more, that would not help.
        try processor("fpu", bits: 46)
        #expect(try bar()?.remedy?.contains("below 64 TiB") == true)
    }

    @Test(
        "where KASLR may leave no room for the address, doctor says what would help",
        arguments: [
            ("0xb0000000000 0xb000fffffff", "quiet", true),
            ("0xb0000000000 0xb000fffffff", "quiet nokaslr", false),
            ("0xafff0000000 0xaffffffffff", "quiet", false),
        ])
    func kaslr(range: String, line: String, isTold: Bool) throws {
        let host = try machine(bar: "\(range) 0x000000000014220c")
        try host.tree.write(line, to: "/proc/cmdline")
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "bar" })
        #expect(check.status == .ok)
        #expect((check.remedy?.contains("nokaslr") == true) == isTold, "\(check)")
    }

    @Test("where every card's memory has its address, none is missed")
    func assigned() throws {
        let checks = try Doctor(try SimulatedHost()).examine([]).filter { $0.id == "bar" }
        #expect(checks.map(\.subject) == ["0000:00:10.0 BAR 2", "0000:00:11.0 BAR 2"])
        #expect(checks.allSatisfy { $0.status == .ok })
    }

    @Test("a BAR that is too small is nobody's business, unless a file is about its card")
    func tooSmall() throws {
        let host = try machine(bar: "0x00000000e0000000 0x00000000e00fffff 0x000000000014220c")
        #expect(try status("bar", host) == nil)
        try host.tree.write("[device]\nid = 1af4:1110\n", to: "/etc/iopmem/card.conf")
        let checks = try Doctor(host).examine([]).filter { $0.id == "bar" }
        #expect(checks.map(\.status) == [.problem, .problem])
        #expect(checks.last?.finding.contains("too small: 1048576 bytes") == true)
        #expect(checks.last?.remedy == "choose another device: iopmemctl devices")
        try host.tree.write("000000000000000f", to: "\(Self.card)/resource2_resize")
        let resizable = try Doctor(host).examine([]).last { $0.id == "bar" }
        #expect(
            resizable?.remedy
                == "give it more: iopmemctl bind 0000:00:10.0 --bar 2 --resize-bar 8M")
    }

    @Test("what may hold a namespace for long is told, mode by mode")
    func pins() throws {
        let host = try SimulatedHost()
        try host.bindToIopmem("0000:00:10.0")
        #expect(try status("long_term_pins", host) == nil)
        let address = try #require(PCIAddress("0000:00:10.0"))
        for (mode, words) in [
            (Namespace.Mode.fsdax, "EOPNOTSUPP"), (.devdax, "may hold it"), (.raw, "no pages"),
        ] {
            let made = try #require(
                try Operation(on: host, telling: RecordingListener()).create(
                    CreateRequest(device: address, size: .bytes(2 << 20), mode: mode)))
            let check = try #require(
                try Doctor(host).examine([]).first {
                    $0.id == "long_term_pins" && $0.subject == made.dev
                })
            #expect(check.status == .ok && check.finding.contains(words), "\(check)")
            #expect((check.remedy == nil) == (mode == .devdax))
        }
    }

    @Test("a drive that was named has no BAR to offer: a problem with the reason")
    func namedDrive() throws {
        let checks = try Doctor(try SimulatedHost()).examine([try address("00:12.0")])
        let bar = checks.first { $0.id == "bar" }
        #expect(bar?.status == .problem)
        #expect(bar?.subject == "0000:00:12.0 BAR 0")
        #expect(bar?.finding.contains("too small") == true)
    }

    @Test("a card's small BAR is no problem while its large one can be a region")
    func namedCard() throws {
        let checks = try Doctor(try SimulatedHost()).examine([try address("00:10.0")])
        #expect(checks.filter { $0.id == "bar" }.map(\.status) == [.ok, .ok])
    }

    @Test("a BAR that could be larger comes with the command that makes it so")
    func resizable() throws {
        let host = try SimulatedHost()
        func check() throws -> Check? {
            try Doctor(host).examine([]).first { $0.id == "resizable_bar" }
        }
        // 64 to 256 MiB, of which it has the most; then up to 1 GiB.
        try host.tree.write("00000000000001c0", to: "\(Self.card)/resource2_resize")
        #expect(try check() == nil)
        try host.tree.write("00000000000007c0", to: "\(Self.card)/resource2_resize")
        let found = try #require(try check())
        #expect(found.status == .ok && found.subject == "0000:00:10.0 BAR 2")
        #expect(found.finding == "256 MiB, and it can be given up to 1 GiB")
        let bind = "iopmemctl bind 0000:00:10.0 --bar 2 --resize-bar 1G"
        #expect(found.remedy?.hasSuffix(": \(bind)") == true)
        try host.bindToIopmem("0000:00:10.0")
        #expect(try check()?.remedy?.hasSuffix("iopmemctl unbind 0000:00:10.0; \(bind)") == true)
    }

    @Test("a BAR that found no room may ask for less")
    func smaller() throws {
        let host = try machine(bar: "0x0000000000000000 0x000000000fffffff 0x000000002014220c")
        func remedy() throws -> String {
            try #require(try Doctor(host).examine([]).first { $0.id == "bar" }?.remedy)
        }
        #expect(try !remedy().contains("--resize-bar"))
        try host.tree.write("00000000000007c0", to: "\(Self.card)/resource2_resize")
        #expect(try remedy().contains("--bar 2 --resize-bar 128M"))
    }

    @Test(
        "a link below what the card can do is a warning, with what holds it back",
        arguments: [
            ("16.0 GT/s PCIe", "8", "16.0 GT/s PCIe", "16", nil),
            ("8.0 GT/s PCIe", "8", "16.0 GT/s PCIe", "16", "seat the device anew"),
            ("16.0 GT/s PCIe", "4", "16.0 GT/s PCIe", "16", "seat the device anew"),
            ("8.0 GT/s PCIe", "8", "8.0 GT/s PCIe", "16", "a faster slot"),
            ("16.0 GT/s PCIe", "4", "16.0 GT/s PCIe", "4", "a faster slot"),
        ] as [(String, String, String, String, String?)])
    func link(
        speed: String, width: String, slotSpeed: String, slotWidth: String, remedy: String?
    ) throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("link", host) == nil)
        let card = try #require(host.root.realPath("/sys/bus/pci/devices/0000:03:00.0"))
        let port = card.split(separator: "/").dropLast().map { "/\($0)" }.joined()
        for (side, maximum) in [(card, ("16.0 GT/s PCIe", "8")), (port, (slotSpeed, slotWidth))] {
            for (name, value) in [
                ("current_link_speed", speed), ("current_link_width", width),
                ("max_link_speed", maximum.0), ("max_link_width", maximum.1),
            ] { try host.tree.write(value, to: "\(side)/\(name)") }
        }
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "link" })
        #expect(check.subject == "link of 0000:03:00.0")
        #expect(check.status == (remedy == nil ? .ok : .warning))
        #expect(remedy.map { check.remedy?.contains($0) == true } ?? (check.remedy == nil))
    }

    @Test("how another driver runs its link is its own business, unless the device is named")
    func foreignLink() throws {
        let host = try SimulatedHost()
        for (name, value) in [
            ("current_link_speed", "2.5 GT/s PCIe"), ("current_link_width", "1"),
            ("max_link_speed", "8.0 GT/s PCIe"), ("max_link_width", "4"),
        ] { try host.tree.write(value, to: "\(Self.card)/\(name)") }
        #expect(try status("link", host) == .warning)
        try host.bind("0000:00:10.0", to: "vfio-pci")
        #expect(try status("link", host) == nil)
        let named = try Doctor(host).examine([try address("00:10.0")])
        #expect(named.contains { $0.id == "link" && $0.status == .warning })
    }

    @Test(
        "a bound device that no memory access reaches is a problem",
        arguments: ["0000:03:00.0", "0000:02:00.0", "0000:01:00.0"])
    func decoding(stopped: String) throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("memory_decoding", host) == .ok)
        let path = try #require(host.root.realPath("/sys/bus/pci/devices/\(stopped)/config"))
        var config = try host.root.bytes(path)
        config[4] &= ~2
        try host.tree.write(config, to: path)
        let check = try #require(
            try Doctor(host).examine([]).first { $0.id == "memory_decoding" })
        #expect(check.status == .problem)
        let isBridge = stopped != "0000:03:00.0"
        #expect(check.finding.contains("the bridge \(stopped)") == isBridge)
        #expect(check.remedy?.contains("\(stopped)/remove") == isBridge)
    }

    @Test("a BAR that the platform caches is a problem")
    func cache() throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("cache", host) == .ok)
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0"))
        try host.tree.write("wb", to: "\(path)/cache_platform")
        #expect(try status("cache", host) == .problem)
    }

    @Test("write-back mappings are a problem where the platform caches the BAR, and only there")
    func userCache() throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("cache_user", host) == .ok)
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0"))
        try host.tree.write("wb", to: "\(path)/cache_platform")
        #expect(try status("cache_user", host) == .problem)
        let namespace = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("wc", to: "\(namespace)/cache_user")
        #expect(try status("cache_user", host) == .ok)
    }
}
