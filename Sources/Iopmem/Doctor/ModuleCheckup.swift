// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// Whether the driver is there, belongs to this tool, and may be loaded.
struct ModuleCheckup {
    let host: any Host
    /// The tool's version.
    let release: String
    private var root: SystemRoot { host.root }

    private static let sameRelease =
        "install both of one release: the packages iopmem-tools and iopmem-dkms, or make install"
        + " install-module"

    /// - Parameter isNeeded: Whether there is a card for it.
    func examine(isNeeded: Bool) -> [Check] {
        [module(isNeeded: isNeeded)] + [version(), signing()].compactMap { $0 }
    }

    private func module(isNeeded: Bool) -> Check {
        let name = DriverFacts.name
        guard !root.exists("/sys/module/\(name)") else {
            return loaded(root.optionalText("/sys/module/\(name)/version"))
        }
        guard let installed = ModuleFile.installed(root: root) else {
            return Check(
                "module", .unknown, name,
                "not loaded, and the kernel's list of modules cannot be read",
                remedy: "modprobe \(name)")
        }
        guard installed.path != nil else {
            let release = root.optionalText("/proc/sys/kernel/osrelease") ?? ""
            return Check(
                "module", isNeeded ? .problem : .warning, name,
                "not installed for Linux \(release)",
                remedy: "build and install the driver for this kernel, then: depmod")
        }
        guard let version = host.installedVersion(ofModule: name), version != release else {
            return Check("module", .ok, name, "installed; bind loads it")
        }
        return Check(
            "module", .warning, name,
            "version \(version) is installed, and this tool is \(release)",
            remedy: Self.sameRelease)
    }

    private func loaded(_ version: String?) -> Check {
        let name = DriverFacts.name
        guard let version else { return Check("module", .ok, name, "loaded, version unknown") }
        if let installed = host.installedVersion(ofModule: name), installed != version {
            return Check(
                "module", .warning, name,
                "version \(version) is loaded, and \(installed) is installed: an upgrade leaves the"
                    + " module that runs alone",
                remedy:
                    "restart; or, once nobody uses its namespaces, of which only those come back"
                    + " that are written down: modprobe -r \(name); modprobe \(name)")
        }
        return version == release
            ? Check("module", .ok, name, "loaded, version \(version)")
            : Check(
                "module", .warning, name,
                "version \(version) is loaded, and this tool is \(release)",
                remedy: Self.sameRelease)
    }

    /// Only where the driver runs, and only root can ask it.
    private func version() -> Check? {
        guard root.exists(DriverFacts.sysfsPath), host.isPrivileged else { return nil }
        let ours = DriverVersion.supportedABI
        let subject = "driver and tool"
        do throws(Errno) {
            let control = try host.openControl()
            defer { control.close() }
            guard let version = try? control.version() else {
                return Check(
                    "abi", .problem, subject, "the driver does not answer as ours does",
                    remedy: Self.sameRelease)
            }
            return version.abi == ours
                ? Check("abi", .ok, subject, "both speak ABI \(ours)")
                : Check(
                    "abi", .problem, subject,
                    "the driver \(version.release) speaks ABI \(version.abi), this tool \(ours)",
                    remedy: "\(Self.sameRelease); then restart")
        } catch {
            return Check(
                "abi", .problem, subject, "\(ControlNode.path) cannot be opened: \(error)",
                remedy: "see what the kernel said: dmesg | grep iopmem")
        }
    }

    /// Whether the kernel takes only signed modules: once ours is loaded the
    /// question is settled.
    private func signing() -> Check? {
        let lockdown = root.optionalText("/sys/kernel/security/lockdown")
        let mode = lockdown?.split(separator: " ").first { $0.hasPrefix("[") }
            .map { $0.dropFirst().dropLast() }
        let isEnforced = root.optionalText("/sys/module/module/parameters/sig_enforce") == "Y"
        // Four bytes of attributes, then the value.
        let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        let isSecureBoot = (try? root.bytes(variable)).map { $0.last == 1 } ?? false
        let facts = [
            mode.map { "lockdown \($0)" }, isEnforced ? "signatures enforced" : nil,
            isSecureBoot ? "Secure Boot on" : nil,
        ].compactMap { $0 }
        guard !facts.isEmpty else {
            return Check(
                "signing", .unknown, "kernel", "whether modules must be signed cannot be read")
        }
        let isStrict = isEnforced || (mode != nil && mode != "none")
        guard isStrict, !root.exists("/sys/module/\(DriverFacts.name)") else {
            return Check("signing", .ok, "kernel", facts.joined(separator: ", "))
        }
        let rule = facts.joined(separator: ", ") + ": only signed modules are loaded"
        let dkmsKey = "/var/lib/dkms/mok.pub"
        let enrol =
            "mokutil --import "
            + (root.exists(dkmsKey) ? dkmsKey : "KEY.der") + ", then restart and confirm it"
        switch ModuleFile.installed(root: root)?.isSigned(root: root) {
        case true?:
            return Check(
                "signing", .warning, "kernel",
                rule + "; \(DriverFacts.name) is signed, and whether the kernel knows the key only"
                    + " loading it tells",
                remedy: "modprobe \(DriverFacts.name); if it is refused: \(enrol)")
        case false?:
            return Check(
                "signing", .problem, "kernel", rule + ", and \(DriverFacts.name) is not signed",
                remedy: "install openssl and build it again, which signs it: dkms install --force"
                    + " \(DriverFacts.name)/VERSION; then \(enrol)")
        case nil:
            return Check(
                "signing", .warning, "kernel", rule,
                remedy: "sign \(DriverFacts.name).ko with a key that the machine knows: \(enrol)")
        }
    }
}
