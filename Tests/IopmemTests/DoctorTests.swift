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

    @Test("an eligible card without the module is a problem; with it installed it is not")
    func module() throws {
        let host = try SimulatedHost()
        try host.tree.write("6.12", to: "/proc/sys/kernel/osrelease")
        try host.tree.write("kernel/x.ko:", to: "/lib/modules/6.12/modules.dep")
        #expect(try status("module", host) == .problem)
        try host.tree.write("updates/iopmem.ko.xz:", to: "/lib/modules/6.12/modules.dep")
        #expect(try status("module", host) == .ok)
        try host.tree.write("0.1.0", to: "/sys/module/iopmem/version")
        #expect(try status("module", host) == .ok)
    }

    @Test(
        "tool, loaded and installed module are of one version, or doctor says which is not",
        arguments: [
            // An upgrade left the module that runs alone; nobody knows; only the tool was upgraded.
            ("0.1.0", "0.1.0", nil), ("0.0.9", "0.1.0", "modprobe -r iopmem"),
            ("0.1.0", nil, nil), ("0.0.9", nil, "iopmem-dkms"), ("0.0.9", "0.0.9", "iopmem-dkms"),
            (nil, "0.1.0", nil), (nil, "0.0.9", "iopmem-dkms"),
        ] as [(loaded: String?, installed: String?, remedy: String?)])
    func versions(loaded: String?, installed: String?, remedy: String?) throws {
        let host = try SimulatedHost()
        try host.tree.write("6.12", to: "/proc/sys/kernel/osrelease")
        try host.tree.write("updates/iopmem.ko:", to: "/lib/modules/6.12/modules.dep")
        if let loaded { try host.tree.write(loaded, to: "/sys/module/iopmem/version") }
        host.installedVersion = installed
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "module" })
        #expect(check.status == (remedy == nil ? .ok : .warning), "\(check)")
        for version in [loaded, installed].compactMap({ $0 }) where remedy != nil {
            #expect(check.finding.contains(version), "\(check)")
        }
        #expect(remedy.map { check.remedy?.contains($0) == true } ?? (check.remedy == nil))
    }

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

    @Test("a driver of another ABI is a problem")
    func abi() throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("abi", host) == .ok)
        host.version.abi = 2
        #expect(try status("abi", host) == .problem)
        #expect(host.openNodes == 0)
    }

    @Test("lockdown and enforced signatures matter until the module is loaded")
    func signing() throws {
        let host = try SimulatedHost()
        #expect(try status("signing", host) == .ok)
        try host.tree.write("none [integrity] confidentiality", to: "/sys/kernel/security/lockdown")
        #expect(try status("signing", host) == .warning)
        try host.tree.write("0.1.0", to: "/sys/module/iopmem/version")
        #expect(try status("signing", host) == .ok)
    }

    @Test(
        "Secure Boot and enforced signatures are told where they are on",
        arguments: [
            (isSecure: nil, isEnforced: nil, status: Check.Status.ok, words: []),
            // By itself Secure Boot refuses no module; lockdown does, which comes with it.
            (true, nil, .ok, ["Secure Boot on"]), (false, nil, .ok, []),
            (nil, true, .warning, ["signatures enforced", "only signed modules"]),
            (nil, false, .ok, []),
            (true, true, .warning, ["signatures enforced, Secure Boot on", "only signed modules"]),
        ] as [(isSecure: Bool?, isEnforced: Bool?, status: Check.Status, words: [String])])
    func firmware(
        isSecure: Bool?, isEnforced: Bool?, status: Check.Status, words: [String]
    ) throws {
        let host = try SimulatedHost()
        // The attributes of the variable, then its value (Documentation/filesystems/efivarfs.rst).
        let variable = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        if let isSecure {
            try host.tree.write(
                [6, 0, 0, 0, isSecure ? 1 : 0], to: "/sys/firmware/efi/efivars/\(variable)")
        }
        if let isEnforced {
            try host.tree.write(
                isEnforced ? "Y" : "N", to: "/sys/module/module/parameters/sig_enforce")
        }
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "signing" })
        #expect(check.status == status)
        for word in ["Secure Boot on", "signatures enforced", "only signed modules"] {
            let isWanted = words.contains { $0.contains(word) }
            #expect(check.finding.contains(word) == isWanted, "\(check)")
        }
        #expect(words.allSatisfy { check.finding.contains($0) }, "\(check)")
        #expect((check.remedy?.contains("mokutil --import") == true) == (status == .warning))
    }

    @Test("where only signed modules are loaded, one that is not signed is a problem")
    func signature() throws {
        let host = try SimulatedHost()
        try host.tree.write("none [integrity] confidentiality", to: "/sys/kernel/security/lockdown")
        try host.tree.write("6.12", to: "/proc/sys/kernel/osrelease")
        let module = "updates/dkms/iopmem.ko"
        try host.tree.write(
            "kernel/fs/ext4.ko: kernel/fs/jbd2.ko\n\(module):", to: "/lib/modules/6.12/modules.dep")
        func signing() throws -> Check? {
            try Doctor(host).examine([]).first { $0.id == "signing" }
        }
        // Listed, and not to be read.
        #expect(try signing()?.status == .warning)
        try host.tree.write("\u{7f}ELF and what follows", to: "/lib/modules/6.12/\(module)")
        let unsigned = try #require(try signing())
        #expect(unsigned.status == .problem)
        #expect(unsigned.remedy?.contains("mokutil --import KEY.der") == true)
        try host.tree.write(
            "\u{7f}ELF~Module signature appended~", to: "/lib/modules/6.12/\(module)")
        try host.tree.write("key", to: "/var/lib/dkms/mok.pub")
        let signed = try #require(try signing())
        #expect(signed.status == .warning)
        #expect(signed.finding.contains("iopmem is signed"))
        #expect(signed.remedy?.contains("mokutil --import /var/lib/dkms/mok.pub") == true)
        // Compressed, as in Debian 13, nobody looks into it.
        try host.tree.write("\(module).xz:", to: "/lib/modules/6.12/modules.dep")
        #expect(try signing()?.status == .warning)
    }

    @Test("missing kernel options are problems, an unreadable configuration is unknown")
    func kernelOptions() throws {
        let host = try SimulatedHost()
        try host.tree.write("6.12", to: "/proc/sys/kernel/osrelease")
        #expect(try status("kernel_config", host) == .unknown)
        try host.tree.write(
            "CONFIG_ZONE_DEVICE=y\n# CONFIG_FS_DAX is not set\nCONFIG_MEMORY_HOTPLUG=y",
            to: "/boot/config-6.12")
        let checks = try Doctor(host).examine([]).filter { $0.id == "kernel_config" }
        #expect(checks.map(\.status) == [.ok, .problem, .ok, .warning])
        #expect(checks[1].subject == "CONFIG_FS_DAX")
    }

    @Test("a kernel without p2pdma is a warning that names the mode, and what to use instead")
    func peerToPeer() throws {
        let host = try SimulatedHost()
        try host.tree.write("6.12", to: "/proc/sys/kernel/osrelease")
        func check(_ line: String) throws -> Check {
            try host.tree.write("CONFIG_FS_DAX=y\n\(line)\n", to: "/boot/config-6.12")
            return try #require(
                try Doctor(host).examine([]).first { $0.subject == "CONFIG_PCI_P2PDMA" })
        }
        let missing = try check("# CONFIG_PCI_P2PDMA is not set")
        #expect(missing.status == .warning)
        #expect(missing.finding.contains("mode p2pdma"))
        #expect(missing.remedy?.contains("--mode devdax") == true)
        let set = try check("CONFIG_PCI_P2PDMA=y")
        #expect(set.status == .ok && set.remedy == nil)
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

    private static let drive =
        "/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/0000:02:01.0/0000:04:00.0"

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

    @Test("DAX is believed only when a file says so")
    func dax() throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("dax", host) == .unknown)
        try host.tree.write("x", to: "/tmp/my mount/file")
        host.isDAXInEffect = true
        #expect(try status("dax", host) == .ok)
        host.isDAXInEffect = false
        #expect(try status("dax", host) == .problem)
    }

    @Test(
        "where DAX is not in effect, the reason is named, and what mends it on that file system",
        arguments: [
            (
                type: "ext4", more: "", isWrong: true, reason: "its blocks have 1024 bytes",
                remedy: "mkfs.ext4 -b 4096 -O ^inline_data /dev/iopmem0n1"
            ),
            ("ext4", ",data=journal", false, "data=journal", "mount -o dax=always"),
            ("ext4", "", false, nil, "dmesg | grep -i dax"),
            (
                "xfs", "", true, "its blocks have 1024 bytes",
                "mkfs.xfs -b size=4096 -m reflink=0 /dev/iopmem0n1"
            ),
            ("xfs", "", false, nil, "dmesg | grep -i dax"),
        ] as [(type: String, more: String, isWrong: Bool, reason: String?, remedy: String)])
    func daxWithoutEffect(
        type: String, more: String, isWrong: Bool, reason: String?, remedy: String
    ) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(
            "73 58 259:1 / /mnt rw - \(type) /dev/iopmem0n1 rw,dax=always\(more)",
            to: "/proc/self/mountinfo")
        try host.tree.write("x", to: "/mnt/file")
        try host.tree.write(
            type == "xfs"
                ? xfs(blockSize: isWrong ? 1024 : 4096, reflink: false)
                : ext4(shift: isWrong ? 0 : 2), to: "/dev/iopmem0n1")
        host.isDAXInEffect = false
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "dax" })
        #expect(check.status == .problem)
        let finding = "mounted with -o dax, but it is not in effect"
        #expect(check.finding.hasPrefix(reason == nil ? finding : "\(finding); it"), "\(check)")
        #expect(reason.map { check.finding.contains($0) } ?? (check.finding == finding))
        #expect(check.remedy?.contains(remedy) == true, "\(check)")
        // What helps one file system is not said of another.
        #expect(check.remedy?.contains(type == "xfs" ? "mkfs.ext4" : "mkfs.xfs") == false)
        host.isDAXInEffect = true
        let silent = try #require(try Doctor(host).examine([]).first { $0.id == "dax" })
        #expect(silent.status == .ok && silent.remedy == nil)
    }

    @Test(
        "a mount without the option is a problem, with dax=inode a warning",
        arguments: [
            ("rw", Check.Status.problem), ("rw,dax=never", .problem), ("rw,dax=inode", .warning),
        ])
    func daxOption(options: String, expected: Check.Status) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(
            "73 58 259:1 / /mnt rw,relatime - ext4 /dev/iopmem0n1 \(options)",
            to: "/proc/self/mountinfo")
        #expect(try status("dax", host) == expected)
    }

    /// A superblock of ext4 with these features, as mkfs writes them.
    private func ext4(shift: UInt8 = 2, incompatible: UInt16 = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes[1024 + 0x18] = shift
        (bytes[1024 + 0x38], bytes[1024 + 0x39]) = (0x53, 0xef)
        bytes[1024 + 0x60] = UInt8(truncatingIfNeeded: incompatible)
        bytes[1024 + 0x61] = UInt8(incompatible >> 8)
        return bytes
    }

    private func xfs(blockSize: UInt16 = 4096, reflink: Bool) -> [UInt8] {
        var bytes = Array("XFSB".utf8) + [UInt8](repeating: 0, count: 508)
        (bytes[6], bytes[7]) = (UInt8(blockSize >> 8), UInt8(truncatingIfNeeded: blockSize))
        (bytes[100], bytes[101]) = (0xb4, 0xb5)
        bytes[215] = reflink ? 4 : 0
        return bytes
    }

    @Test(
        "what keeps DAX from a file system is named, and how to make one without it",
        arguments: [
            (type: "ext4", options: "rw", shift: UInt8(2), features: UInt16(0), reason: nil),
            ("ext4", "rw", 0, 0, "its blocks have 1024 bytes"),
            ("ext4", "rw", 6, 0, "its blocks have 65536 bytes"),
            ("ext4", "rw", 2, 0x8000, "(inline_data)"),
            ("ext4", "rw,data=journal", 2, 0, "data=journal"),
            ("vfat", "rw", 0, 0, nil),
        ] as [(type: String, options: String, shift: UInt8, features: UInt16, reason: String?)])
    func obstacles(
        type: String, options: String, shift: UInt8, features: UInt16, reason: String?
    ) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(
            "73 58 259:1 / /mnt rw,relatime - \(type) /dev/iopmem0n1 \(options)",
            to: "/proc/self/mountinfo")
        try host.tree.write(ext4(shift: shift, incompatible: features), to: "/dev/iopmem0n1")
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "dax" })
        #expect(check.status == .problem)
        #expect(check.finding.contains(";") == (reason != nil))
        #expect(reason.map { check.finding.contains($0) } ?? true, "\(check.finding)")
        let isToBeMade = reason != nil && options == "rw"
        #expect(check.remedy?.contains("mkfs.ext4 -b 4096") == isToBeMade)
    }

    @Test("xfs with reflink is in the way on a partition only")
    func reflink() throws {
        let host = try SimulatedHost(.mounted)
        let disk = try #require(host.root.realPath("/sys/class/block/iopmem0n1"))
        let part = "\(disk)/iopmem0n1p1"
        for (name, value) in [("partition", "1"), ("dev", "259:77"), ("size", "8"), ("start", "8")]
        {
            try host.tree.write(value, to: "\(part)/\(name)")
        }
        func finding(_ node: String, _ number: String, reflink: Bool) throws -> String {
            try host.tree.write(
                "73 58 \(number) / /mnt rw - xfs /dev/\(node) rw", to: "/proc/self/mountinfo")
            try host.tree.write(xfs(reflink: reflink), to: "/dev/\(node)")
            return try #require(try Doctor(host).examine([]).first { $0.id == "dax" }).finding
        }
        #expect(try finding("iopmem0n1p1", "259:77", reflink: true).contains("(reflink)"))
        #expect(try !finding("iopmem0n1p1", "259:77", reflink: false).contains("(reflink)"))
        #expect(try !finding("iopmem0n1", "259:1", reflink: true).contains("(reflink)"))
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

    @Test("looking changes nothing")
    func readOnly() throws {
        let host = try SimulatedHost(.mounted)
        let before = try host.tree.snapshot()
        _ = try Doctor(host).examine([])
        #expect(try host.tree.snapshot() == before)
    }

    private func status(_ id: String, _ host: SimulatedHost) throws -> Check.Status? {
        try Doctor(host).examine([]).first { $0.id == id }?.status
    }
}

extension Doctor {
    /// Of the tool that belongs to the simulated driver.
    init(_ host: any Host) { self.init(host, release: "0.1.0") }
}
