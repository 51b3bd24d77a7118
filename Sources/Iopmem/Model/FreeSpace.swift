// SPDX-License-Identifier: GPL-2.0

/// The parts of a region that neither labels, nor a namespace, nor a dma-buf have.
struct FreeSpace {
    /// In ascending order, none empty.
    let extents: [Range<UInt64>]

    /// - Parameter kept: Further parts that are not free; they may overlap
    ///   namespaces.
    init(of region: Region, namespaces: [Namespace], keeping kept: [Range<UInt64>] = []) {
        // A dma-buf has pages, and a namespace larger units.
        let unit = max(region.align, 1)
        let lent = region.lent.map { range in
            let end = min(range.upperBound, region.size)
            let start = min(range.lowerBound, end) / unit * unit
            return start..<max(start, min((end + unit - 1) / unit * unit, region.size))
        }
        let taken = namespaces.map(\.range) + kept + lent + [0..<region.labelSize]
        var extents: [Range<UInt64>] = []
        var start: UInt64 = 0
        for range in taken.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > start { extents.append(start..<range.lowerBound) }
            start = max(start, range.upperBound)
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
