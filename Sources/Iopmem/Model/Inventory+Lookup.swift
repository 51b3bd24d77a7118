// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

extension Inventory {
    /// The namespace that `name` means: a kernel name, a user-given name, a
    /// UUID, or a path that leads to its node (`/dev/iopmem0n1`, a link in
    /// `/dev/disk/by-id` or `/dev/iopmem`).
    ///
    /// Fails with `.notFound` where there is none.
    public func namespace(named name: String, root: SystemRoot) throws(IopmemError) -> Namespace {
        if let found = findNamespace(named: name, root: root) { return found }
        throw IopmemError(
            .notFound, "no namespace \(name)", because: explanation(of: name, root: root),
            remedy: "show what there is: iopmemctl list")
    }

    /// The same, or nil.
    public func findNamespace(named name: String, root: SystemRoot) -> Namespace? {
        if name.contains("/") {
            let path = root.realPath(name) ?? name
            // That of a p2pdma namespace leads through links itself.
            return namespaces.first { $0.path == path || $0.path == name }
        }
        if let found = namespaces.first(where: { $0.dev == name }) { return found }
        if let found = namespaces.first(where: { !$0.name.isEmpty && $0.name == name }) {
            return found
        }
        guard let uuid = NamespaceUUID(name) else { return nil }
        return namespaces.first { $0.uuid == uuid }
    }

    /// The region that `name` means: a kernel name or the path of its node.
    public func findRegion(named name: String) -> Region? {
        regions.first { $0.dev == name || $0.path == name }
    }

    private func explanation(of name: String, root: SystemRoot) -> String? {
        if findRegion(named: name) != nil { return "it is a region" }
        guard name.contains("/") else { return nil }
        guard let path = root.realPath(name) else { return "no such file" }
        let isPartition = namespaces.contains {
            path.hasPrefix($0.path + "p")
                && path.dropFirst($0.path.count + 1).allSatisfy(\.isNumber)
        }
        if isPartition { return "it is a partition of one" }
        return path == name ? nil : "it leads to \(path)"
    }
}
