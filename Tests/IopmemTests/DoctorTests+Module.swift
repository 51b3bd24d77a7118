// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// The module, and the kernel that loads it.
extension DoctorTests {
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
}
