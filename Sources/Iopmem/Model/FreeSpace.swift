// SPDX-License-Identifier: GPL-2.0

/// The parts of a region that no namespace has.
struct FreeSpace {
    /// In ascending order, none empty.
    let extents: [Range<UInt64>]

    init(of region: Region, namespaces: [Namespace]) {
        var extents: [Range<UInt64>] = []
        var start: UInt64 = 0
        for namespace in namespaces.sorted(by: { $0.offset < $1.offset }) {
            if namespace.offset > start { extents.append(start..<namespace.offset) }
            start = max(start, namespace.offset + namespace.size)
        }
        if start < region.size { extents.append(start..<region.size) }
        self.extents = extents
    }

    /// The largest one; the first of several.
    var largest: Range<UInt64>? {
        extents.reduce(nil) { best, extent in
            (best?.count ?? 0) >= extent.count ? best : extent
        }
    }

    /// Where the driver would put that many bytes: at the start of the first
    /// extent that has room.
    func firstFit(_ size: UInt64) -> Range<UInt64>? {
        extents.first { UInt64($0.count) >= size }
            .map { $0.lowerBound..<($0.lowerBound + size) }
    }
}
