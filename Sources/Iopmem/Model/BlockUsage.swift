// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// Who uses block devices, and what is on them.
struct BlockUsage {
    let host: any Host
    let mounts: MountTable
    /// Paths of swap spaces in use.
    let swaps: [String]

    init(host: any Host) {
        self.host = host
        mounts = MountTable(root: host.root)
        // A heading, then `/dev/sda2 partition 975868 0 -2`.
        swaps = (host.root.optionalText("/proc/swaps") ?? "").split(separator: "\n").dropFirst()
            .compactMap {
                $0.split(whereSeparator: \.isWhitespace).first.map { MountTable.unescaped($0) }
            }
    }

    /// One whole disk or partition: sysfs directory and name.
    struct Node: Equatable {
        let name: String
        let directory: String

        var path: String { "/dev/\(name.replacing("!", with: "/"))" }
    }

    /// The disk at `directory` and its partitions.
    func nodes(ofDisk name: String, at directory: String) -> [Node] {
        let disk = Node(name: name, directory: directory)
        let children = (try? host.root.entries(directory)) ?? []
        return [disk]
            + children.filter { host.root.exists("\(directory)/\($0)/partition") }
            .map { Node(name: $0, directory: "\(directory)/\($0)") }
    }

    /// What keeps a node busy, as far as files tell: mounts, swap, devices
    /// built on it.
    func fileHolders(of node: Node) -> [Namespace.Holder] {
        let number = host.root.optionalText("\(node.directory)/dev").flatMap { DeviceNumber($0) }
        var holders = mounts.mounts(of: number, path: node.path)
            .map { Namespace.Holder(kind: "mount", name: $0.path) }
        holders += swaps.filter { $0 == node.path }
            .map { Namespace.Holder(kind: "swap", name: $0) }
        holders += TargetTree(root: host.root).subsystems(exporting: node.path)
            .map { Namespace.Holder(kind: "share", name: $0) }
        for name in (try? host.root.entries("\(node.directory)/holders")) ?? [] {
            let mapped = host.root.optionalText("/sys/class/block/\(name)/dm/name")
            holders.append(Namespace.Holder(kind: "dm", name: mapped ?? name))
        }
        for name in (try? host.root.entries("/sys/class/block")) ?? [] {
            let backing = "/sys/class/block/\(name)/loop/backing_file"
            guard name.hasPrefix("loop"), host.root.optionalText(backing) == node.path else {
                continue
            }
            holders.append(Namespace.Holder(kind: "loop", name: name))
        }
        return holders
    }

    /// Programs that have one of the nodes open.
    func processHolders(of nodes: [Node]) -> [Namespace.Holder] {
        processHolders(
            of: nodes.compactMap { node in
                host.root.optionalText("\(node.directory)/dev").flatMap { DeviceNumber($0) }
            })
    }

    private func processHolders(of numbers: [DeviceNumber]) -> [Namespace.Holder] {
        host.processes(holding: Set(numbers))
            .map { Namespace.Holder(kind: "process", name: $0.name, pid: $0.pid) }
            .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// Where sysfs has the disk of a namespace.
    static func diskDirectory(of namespace: Namespace) -> String {
        "/sys/class/block/\(namespace.dev)"
    }

    /// The namespace with its file system and holders.
    func fill(_ namespace: Namespace) -> Namespace {
        var filled = namespace
        if namespace.isBlock { filled.filesystem = filesystem(of: namespace) }
        filled.holders = holders(of: namespace)
        return filled
    }

    /// Who holds a namespace. Opens nothing.
    func holders(of namespace: Namespace) -> [Namespace.Holder] {
        let found = visibleHolders(of: namespace)
        guard found.isEmpty, namespace.openers > 0 else { return found }
        return namespace.lastOpener.flatMap { Self.opener($0) }.map { [$0] } ?? []
    }

    /// Who opened it, where nobody is seen to hold it: a dma-buf of it is open, whose descriptors
    /// are like no node.
    ///
    /// - Parameter text: `fio[312]`, as the driver puts it.
    private static func opener(_ text: String) -> Namespace.Holder? {
        guard text.last == "]", let bracket = text.lastIndex(of: "["),
            let pid = Int32(text[text.index(after: bracket)...].dropLast())
        else { return nil }
        return Namespace.Holder(kind: "process", name: String(text[..<bracket]), pid: pid)
    }

    private func visibleHolders(of namespace: Namespace) -> [Namespace.Holder] {
        guard namespace.isBlock else { return mappers(of: namespace) }
        let nodes = nodes(ofDisk: namespace.dev, at: Self.diskDirectory(of: namespace))
        var holders = nodes.flatMap { fileHolders(of: $0) }
        // Looking into every process is dear; the driver knows whether it is
        // worth it.
        guard namespace.openers > 0 else { return holders }
        holders += processHolders(of: nodes)
        // A container's mounts are visible only through its processes.
        if holders.isEmpty { holders = foreignMounts(of: nodes) }
        return holders
    }

    /// Programs that have the node of a devdax namespace open, or mapped.
    private func mappers(of namespace: Namespace) -> [Namespace.Holder] {
        guard namespace.mode == .devdax, namespace.openers > 0,
            let text = host.root.optionalText("/sys/class/iopmem/\(namespace.dev)/dev"),
            let number = DeviceNumber(text, isBlock: false)
        else { return [] }
        return processHolders(of: [number])
    }

    /// Mounts that only processes in other mount namespaces see, each with one
    /// such process.
    private func foreignMounts(of nodes: [Node]) -> [Namespace.Holder] {
        let root = host.root
        let numbers = nodes.compactMap { node in
            root.optionalText("\(node.directory)/dev").flatMap { DeviceNumber($0) }
        }
        var seen = Set([try? root.linkTarget("/proc/self/ns/mnt")])
        var found: [Namespace.Holder] = []
        for pid in ((try? root.entries("/proc")) ?? []).compactMap({ Int32($0) }).sorted() {
            guard let space = try? root.linkTarget("/proc/\(pid)/ns/mnt"),
                seen.insert(space).inserted
            else { continue }
            let table = MountTable(mountinfo: root.optionalText("/proc/\(pid)/mountinfo") ?? "")
            for mount in table.mounts {
                guard let device = mount.device, numbers.contains(device) else { continue }
                found.append(Namespace.Holder(kind: "mount", name: mount.path, pid: pid))
            }
        }
        return found
    }

    private func filesystem(of namespace: Namespace) -> Namespace.Filesystem? {
        let directory = Self.diskDirectory(of: namespace)
        let number = host.root.optionalText("\(directory)/dev").flatMap { DeviceNumber($0) }
        let mount = mounts.mounts(of: number, path: namespace.path).first
        if var found = recognised(on: namespace, number) {
            found.mountpoint = mount?.path
            return found
        }
        return mount.map { Namespace.Filesystem(type: $0.type, mountpoint: $0.path) }
    }

    /// By libblkid where the node can be read, else what udev found when it
    /// last looked.
    private func recognised(
        on namespace: Namespace, _ number: DeviceNumber?
    ) -> Namespace.Filesystem? {
        if host.isPrivileged, namespace.state == .enabled,
            let signatures = try? host.signatures(onNode: namespace.path)
        {
            let first = signatures.first { $0.kind == .superblock }
            return first.map { Namespace.Filesystem(type: $0.type, uuid: $0.uuid) }
        }
        guard let number else { return nil }
        let database = host.root.optionalText("/run/udev/data/b\(number)") ?? ""
        var properties: [Substring: Substring] = [:]
        for line in database.split(separator: "\n") where line.hasPrefix("E:") {
            let pair = line.dropFirst(2).split(separator: "=", maxSplits: 1)
            if pair.count == 2 { properties[pair[0]] = pair[1] }
        }
        return properties["ID_FS_TYPE"].map {
            Namespace.Filesystem(
                type: String($0), uuid: properties["ID_FS_UUID"].map(String.init))
        }
    }
}

extension String {
    /// Every `old` replaced; the standard library has this only in Foundation.
    func replacing(_ old: Character, with new: Character) -> String {
        String(map { $0 == old ? new : $0 })
    }
}
