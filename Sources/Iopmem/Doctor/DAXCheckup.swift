// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// Whether mounted namespaces are really used without the page cache.
struct DAXCheckup {
    let host: any Host

    func examine(_ namespaces: [Namespace]) -> [Check] {
        let mounts = MountTable(root: host.root)
        return namespaces.filter { $0.mode == .fsdax }.flatMap { namespace in
            let directory = BlockUsage.diskDirectory(of: namespace)
            let nodes = BlockUsage(host: host).nodes(ofDisk: namespace.dev, at: directory)
            return nodes.flatMap { node in
                let number = host.root.optionalText("\(node.directory)/dev")
                    .flatMap { DeviceNumber($0) }
                return mounts.mounts(of: number, path: node.path).map { check($0, node) }
            }
        }
    }

    /// The kernel shows the option only where it was taken; whether it is in
    /// effect, only a file says.
    private func check(_ mount: MountTable.Mount, _ node: BlockUsage.Node) -> Check {
        let subject = "\(node.name) on \(mount.path)"
        let obstacles = DAXObstacles(
            mount, on: node.path, isPartition: host.root.exists("\(node.directory)/partition"),
            root: host.root)
        let reasons = obstacles.reasons.map { "; \($0)" }.joined()
        let mountAnew = "umount \(mount.path); mount -o dax=always \(node.path) \(mount.path)"
        guard mount.options.contains("dax=always") || mount.options.contains("dax") else {
            let perFile = mount.options.contains("dax=inode")
            return Check(
                "dax", perFile ? .warning : .problem, subject,
                perFile
                    ? "mounted with dax=inode: only files with the DAX attribute are direct"
                    : "mounted without -o dax: data goes through the page cache\(reasons)",
                remedy: obstacles.remedy ?? mountAnew)
        }
        switch regularFile(in: mount.path).flatMap({ host.isDAX($0) }) {
        case true?:
            return Check("dax", .ok, subject, "files are used without the page cache")
        case false?:
            return Check(
                "dax", .problem, subject,
                "mounted with -o dax, but it is not in effect\(reasons)",
                // What is in the mount's options is gone with them; the rest only the kernel knows.
                remedy: obstacles.remedy
                    ?? (reasons.isEmpty ? "see why: dmesg | grep -i dax" : mountAnew))
        case nil:
            return Check(
                "dax", .unknown, subject, "mounted with -o dax; there is no file to ask")
        }
    }

    private func regularFile(in directory: String) -> String? {
        let names = (try? host.root.entries(directory)) ?? []
        return names.lazy.map { "\(directory)/\($0)" }
            .first { (try? host.root.entries($0)) == nil && host.root.exists($0) }
            .map { host.root.resolve($0) }
    }
}
