// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem
import SystemPackage

extension Inventory {
    /// The inventory narrowed to these namespaces and the regions they are in;
    /// all of it without names.
    ///
    /// A name may also be a region's: then all of that region.
    public func selecting(_ names: [String], root: SystemRoot) throws(IopmemError) -> Inventory {
        guard !names.isEmpty else { return self }
        var wanted: Set<String> = []
        for name in names {
            if let region = findRegion(named: name) {
                wanted.insert(region.dev)
                wanted.formUnion(namespaces(in: region).map(\.dev))
            } else {
                let found = try namespace(named: name, root: root)
                wanted.formUnion([found.dev, found.region])
            }
        }
        return Inventory(
            regions: regions.filter { wanted.contains($0.dev) },
            namespaces: namespaces.filter { wanted.contains($0.dev) })
    }

    /// The same with file systems and holders.
    public func withUsage(on host: any Host) -> Inventory {
        let usage = BlockUsage(host: host)
        var copy = self
        copy.namespaces = namespaces.map { usage.fill($0) }
        return copy
    }
}
