// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// Looks for everything that could stop a machine from working. Changes nothing.
public struct Doctor {
    let host: any Host
    /// The tool's version.
    let release: String
    var root: SystemRoot { host.root }

    /// A doctor for that machine.
    ///
    /// - Parameter release: The version of the tool, with which the driver's is compared.
    public init(_ host: any Host, release: String) {
        self.host = host
        self.release = release
    }

    /// Everything about the machine, and about these functions; without any, about those that are
    /// bound or in a configuration file, could be bound, or could if their memory had an address.
    public func examine(_ addresses: [PCIAddress]) throws(IopmemError) -> [Check] {
        let list = try DeviceList(root: root)
        let inventory = try Inventory(root: root)
        var named: [Device] = []
        for address in addresses { named.append(try list.device(at: address)) }
        let review = try ConfigReview(root: root)
        let topology = Topology(list, root: root)
        let checkup = DeviceCheckup(root: root, tree: topology.tree)
        let meant = Set(named.isEmpty ? review.files.flatMap(\.devices) : addresses).union(
            list.devices.filter(\.isBound).map(\.address))
        let devices =
            named.isEmpty
            ? list.devices.filter { meant.contains($0.address) || checkup.concerns($0) } : named
        let isNeeded = devices.contains { meant.contains($0.address) || checkup.isUsable($0) }
        var checks = [privileges()]
        checks += ModuleCheckup(host: host, release: release).examine(isNeeded: isNeeded)
        checks += kernelOptions()
        checks += devices.flatMap { checkup.examine($0, isMeant: meant.contains($0.address)) }
        checks += inventory.regions.filter { region in
            addresses.isEmpty || addresses.contains(region.device)
        }.map { cache($0) }
        let wanted = inventory.namespaces.filter {
            addresses.isEmpty || addresses.contains($0.device)
        }
        checks += wanted.compactMap { namespace in
            let region = inventory.regions.first { $0.dev == namespace.region }
            return region.flatMap { userCache(namespace, in: $0) }
        }
        checks += wanted.map { pins(of: $0) }
        checks.append(bounceBuffers())
        checks += try PeerCheckup(topology: topology).examine(devices.filter(\.isBound))
        checks += DAXCheckup(host: host).examine(wanted)
        checks.append(udevRules())
        checks += ConfigurationCheckup(root: root).examine(review)
        return checks
    }

    private func privileges() -> Check {
        host.isPrivileged
            ? Check("privileges", .ok, "user", "root: everything can be looked at")
            : Check(
                "privileges", .unknown, "user", "not root: some things cannot be looked at",
                remedy: "run it as root")
    }

    private func kernelOptions() -> [Check] {
        let needed = ["CONFIG_ZONE_DEVICE", "CONFIG_FS_DAX", "CONFIG_MEMORY_HOTPLUG"]
        let peers = "CONFIG_PCI_P2PDMA"
        let release = root.optionalText("/proc/sys/kernel/osrelease") ?? ""
        let places = ["/boot/config-\(release)", "/lib/modules/\(release)/config"]
        guard let text = places.lazy.compactMap({ root.optionalText($0) }).first else {
            return [
                Check(
                    "kernel_config", .unknown, (needed + [peers]).joined(separator: " "),
                    "the kernel's configuration is not in \(places[0])")
            ]
        }
        let lines = Set(text.split(separator: "\n"))
        let hasPeers = lines.contains("\(peers)=y")
        return needed.map { option in
            lines.contains("\(option)=y")
                ? Check("kernel_config", .ok, option, "set")
                : Check(
                    "kernel_config", .problem, option, "not set in Linux \(release)",
                    remedy: "use a kernel that has it; --mode raw works without")
        } + [
            hasPeers
                ? Check("kernel_config", .ok, peers, "set")
                : Check(
                    "kernel_config", .warning, peers,
                    "not set in Linux \(release): there is no mode p2pdma",
                    remedy:
                        "use --mode devdax, whose memory devices may hold for long as well, or a"
                        + " kernel that has it")
        ]
    }

    private func cache(_ region: Region) -> Check {
        let subject = "\(region.dev) (\(region.device) BAR \(region.bar))"
        guard let platform = region.cachePlatform else {
            return Check("cache", .unknown, subject, "the driver does not say")
        }
        guard region.isCachedByPlatform else {
            return Check("cache", .ok, subject, "the platform does not cache it (\(platform))")
        }
        return Check(
            "cache", .problem, subject,
            "the platform caches it (MTRR write-back): a CPU may read stale data after another"
                + " device wrote there",
            remedy: "have the firmware place the BAR in an uncached range: turn off \"Above 4G"
                + " decoding\", or update it; then see /proc/mtrr")
    }

    /// What devices can hold of a namespace for long, which is a matter of its pages. Nothing is wrong
    /// with either; but programs only see an errno.
    private func pins(of namespace: Namespace) -> Check {
        let subject = namespace.dev
        switch namespace.mode {
        case .devdax:
            return Check(
                "long_term_pins", .ok, subject,
                "RDMA memory regions, io_uring's registered buffers and V4L2 USERPTR may hold it")
        case .fsdax:
            return Check(
                "long_term_pins", .ok, subject,
                "O_DIRECT reaches its files; RDMA memory regions, io_uring's registered buffers and"
                    + " V4L2 USERPTR are refused (EOPNOTSUPP), because a file system may move a"
                    + " file's blocks",
                remedy: "for those: iopmemctl create --device \(namespace.device) --mode devdax")
        case .p2pdma:
            return Check(
                "long_term_pins", .ok, subject,
                "O_DIRECT to drivers that know p2pdma; what holds memory for long is refused",
                remedy: "for those: iopmemctl create --device \(namespace.device) --mode devdax")
        default:
            // Of mode raw, or of one that a newer driver has.
            return Check(
                "long_term_pins", .ok, subject,
                "it has no pages for O_DIRECT or RDMA: devices reach it by dma-bufs alone",
                remedy: "for devices: iopmemctl create --device \(namespace.device) --mode devdax")
        }
    }

    /// Since 7.0 the kernel maps pages of fsdax as write-back, whatever was reserved, and it is the
    /// platform that decides whether they are cached.
    private func userCache(_ namespace: Namespace, in region: Region) -> Check? {
        guard let type = namespace.cacheUser else { return nil }
        let subject = "mappings of \(namespace.dev)"
        guard type == "wb" else { return Check("cache_user", .ok, subject, "not cached (\(type))") }
        guard let platform = region.cachePlatform else {
            return Check(
                "cache_user", .unknown, subject,
                "mapped as write-back, and the driver does not say what the platform makes of it")
        }
        guard region.isCachedByPlatform else {
            return Check(
                "cache_user", .ok, subject,
                "mapped as write-back, which the platform does not cache (\(platform))")
        }
        return Check(
            "cache_user", .problem, subject,
            "programs' mappings are cached: they may read stale data after another device wrote"
                + " there",
            remedy:
                "use O_DIRECT on \(namespace.path), or a kernel before 7.0; or have the firmware"
                + " place the BAR in an uncached range")
    }

    private func bounceBuffers() -> Check {
        let words = (root.optionalText("/proc/cmdline") ?? "").split(separator: " ")
        let forced = words.first { word in
            word.hasPrefix("swiotlb=")
                && word.dropFirst("swiotlb=".count).split(separator: ",").contains("force")
        }
        guard let forced else {
            return Check("swiotlb", .ok, "kernel command line", "bounce buffers are not forced")
        }
        return Check(
            "swiotlb", .problem, "kernel command line",
            "\(forced): every transfer is copied through RAM",
            remedy: "remove \(forced) from the kernel command line")
    }

    private func udevRules() -> Check {
        let name = "60-iopmem.rules"
        if let folder = InstalledFile(name, below: "udev/rules.d", root: root).folder {
            return Check("udev_rules", .ok, name, "installed in \(folder)")
        }
        return Check(
            "udev_rules", .warning, name,
            "not installed: no links in /dev/disk/by-id and /dev/iopmem",
            remedy: "install udev/\(name) in /etc/udev/rules.d, then: udevadm control --reload")
    }
}
