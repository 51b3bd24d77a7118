// SPDX-License-Identifier: GPL-2.0

/// Which parts of a range were found right, which wrong, and which nobody looked at, in a bounded
/// number of equal cells.
public struct RegionMap: Sendable, Equatable {
    /// What is known of a cell.
    public struct Cell: Sendable, Equatable {
        /// Blocks that begin in it and were right.
        public var right: UInt64 = 0
        /// Blocks that begin in it and were wrong.
        public var wrong: UInt64 = 0
    }

    /// So many cells at most.
    static let limit: UInt64 = 1024
    /// Where the first begins, in bytes.
    public let offset: UInt64
    /// Bytes of the range.
    public let size: UInt64
    /// Bytes of each cell; the last may have fewer.
    public let width: UInt64
    /// In the order of their places.
    public private(set) var cells: [Cell]

    init(offset: UInt64, size: UInt64) {
        self.offset = offset
        self.size = size
        // No block is shorter than 512 bytes.
        width = max((size + Self.limit - 1) / Self.limit, 512)
        cells = [Cell](repeating: Cell(), count: Int((size + width - 1) / width))
    }

    mutating func add(_ place: UInt64, _ bytes: UInt64, isRight: Bool) {
        guard place >= offset, place - offset < size else { return }
        let index = Int((place - offset) / width)
        if isRight { cells[index].right += 1 } else { cells[index].wrong += 1 }
        // The cells that it fills besides are no less looked at.
        let last = Int(min(place - offset + bytes - 1, size - 1) / width)
        guard index < last else { return }
        for other in (index + 1)...last {
            if isRight { cells[other].right += 1 } else { cells[other].wrong += 1 }
        }
    }

    /// Together with what another job found; its range may be another one.
    mutating func merge(_ other: Self) {
        guard other.offset == offset, other.size == size else {
            let start = min(offset, other.offset)
            let end = max(offset + size, other.offset + other.size)
            var merged = RegionMap(offset: start, size: end - start)
            for map in [self, other] { merged.take(map) }
            self = merged
            return
        }
        for (index, cell) in other.cells.enumerated() {
            cells[index].right += cell.right
            cells[index].wrong += cell.wrong
        }
    }

    private mutating func take(_ map: Self) {
        for (index, cell) in map.cells.enumerated() where cell != Cell() {
            let start = map.offset + UInt64(index) * map.width - offset
            let end = min(start + map.width, map.offset - offset + map.size)
            for place in Int(start / width)...Int((end - 1) / width) {
                cells[place].right += cell.right
                cells[place].wrong += cell.wrong
            }
        }
    }
}
