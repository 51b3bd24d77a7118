// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// Who uses a PCI function through the driver that is bound to it now.
struct DeviceInUse {
    let host: any Host

    /// Sentences like "nvme0n1p2 is mounted on /"; empty if nobody does.
    func uses(of device: Device) -> [String] {
        guard device.driver != nil, let path = host.root.realPath(device.sysfsPath) else {
            return []
        }
        return blockUses(below: path) + networkUses(below: path)
    }

    private func blockUses(below path: String) -> [String] {
        let usage = BlockUsage(host: host)
        var uses: [String] = []
        for disk in disks(below: path) {
            var found: [String] = []
            for node in usage.nodes(ofDisk: disk.name, at: disk.directory) {
                found += usage.fileHolders(of: node).map { "\(node.name) is \($0.sentence)" }
                // A mount that this process cannot see claims the node too.
                if found.isEmpty, host.isClaimed(node.path) {
                    let programs = usage.processHolders(of: [node]).map(\.sentence)
                    let by =
                        programs.isEmpty ? "held by somebody" : programs.joined(separator: ", ")
                    found.append("\(node.name) is \(by)")
                }
            }
            uses += found
        }
        return uses
    }

    /// Whole disks whose data the function moves.
    private func disks(below path: String) -> [BlockUsage.Node] {
        let names = (try? host.root.entries("/sys/class/block")) ?? []
        return names.compactMap { name in
            let directory = "/sys/class/block/\(name)"
            guard !host.root.exists("\(directory)/partition"),
                let real = host.root.realPath(directory)
            else { return nil }
            let isBelow = real.hasPrefix(path + "/") || isMultipath(real, through: path)
            return isBelow ? BlockUsage.Node(name: name, directory: directory) : nil
        }
    }

    /// An NVMe disk with several paths hangs below its subsystem, which has a
    /// link to each controller.
    private func isMultipath(_ disk: String, through path: String) -> Bool {
        guard disk.contains("/nvme-subsystem/"), let cut = disk.lastIndex(of: "/") else {
            return false
        }
        let subsystem = String(disk[..<cut])
        let links = ((try? host.root.entries(subsystem)) ?? []).filter { $0.hasPrefix("nvme") }
        return links.contains {
            host.root.realPath("\(subsystem)/\($0)")?.hasPrefix(path + "/") == true
        }
    }

    private func networkUses(below path: String) -> [String] {
        let names = (try? host.root.entries("/sys/class/net")) ?? []
        return names.filter { name in
            let directory = "/sys/class/net/\(name)"
            guard host.root.realPath(directory)?.hasPrefix(path + "/") == true,
                let flags = try? host.root.number("\(directory)/flags")
            else { return false }
            // IFF_UP.
            return flags & 1 != 0
        }
        .map { "the network interface \($0) is up" }
    }
}
