// SPDX-License-Identifier: GPL-2.0
import Glibc

/// A process that has a device node open.
public struct ProcessHolder: Hashable, Sendable {
    /// Its number.
    public var pid: Int32
    /// Its name, as in /proc/PID/comm.
    public var name: String
    /// Which node.
    public var device: DeviceNumber

    /// That process.
    public init(pid: Int32, name: String, device: DeviceNumber) {
        self.pid = pid
        self.name = name
        self.device = device
    }

    /// Every process, but for this one, with one of `devices` open or mapped.
    ///
    /// Mappings are looked at for character devices alone: those of a block device hold its pages
    /// in the page cache, not it. Without root only one's own processes are seen.
    public static func all(
        holding devices: Set<DeviceNumber>, root: SystemRoot = .machine
    ) -> [ProcessHolder] {
        guard let names = try? root.entries("/proc") else { return [] }
        let folders = devices.contains { !$0.isBlock } ? ["fd", "map_files"] : ["fd"]
        var found: Set<ProcessHolder> = []
        for pid in names.compactMap({ Int32($0) }) where pid != getpid() {
            let files = folders.flatMap { folder in
                ((try? root.entries("/proc/\(pid)/\(folder)")) ?? []).map { "\(folder)/\($0)" }
            }
            for file in files {
                guard let device = DeviceNumber(node: root.resolve("/proc/\(pid)/\(file)")),
                    devices.contains(device)
                else { continue }
                let name = root.optionalText("/proc/\(pid)/comm") ?? "?"
                found.insert(ProcessHolder(pid: pid, name: name, device: device))
            }
        }
        return found.sorted { ($0.pid, $0.device.minor) < ($1.pid, $1.device.minor) }
    }
}
