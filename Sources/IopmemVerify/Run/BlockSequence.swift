// SPDX-License-Identifier: GPL-2.0

/// The headers of a loop's I/Os in the order in which they are written. Two of them made alike give
/// the same headers: the second verifies the first.
struct BlockSequence {
    private let workload: Workload
    private let order: BlockOrder
    private let stamp: (seconds: UInt32, nanoseconds: UInt32)
    private var seeds: SeedSequence
    /// What offsets and lengths are drawn from.
    private var random: SplitMix64
    /// Which loop it is, from 0.
    let loop: UInt64
    /// How many headers it has given.
    private(set) var position: UInt64 = 0
    /// Bytes that they cover.
    private(set) var bytes: UInt64 = 0
    /// Where lengths differ, a stretch is cut into I/Os that follow each other; the stretches are
    /// visited in the workload's order.
    private var stretch = (number: UInt64(0), done: UInt64(0))

    /// The sequence of a workload's first loop.
    ///
    /// - Parameter stamp: the time that all headers of the run carry.
    init(_ workload: Workload, stamp: (seconds: UInt32, nanoseconds: UInt32) = (0, 0)) {
        self.init(
            workload, stamp: stamp,
            seeds: SeedSequence(randseed: workload.randseed, thread: UInt64(workload.thread)),
            loop: 0)
    }

    private init(
        _ workload: Workload, stamp: (seconds: UInt32, nanoseconds: UInt32),
        seeds: SeedSequence, loop: UInt64
    ) {
        self.workload = workload
        self.stamp = stamp
        self.seeds = seeds
        self.loop = loop
        order = Self.order(of: workload, loop: loop)
        random = SplitMix64(seed: workload.randseed &+ loop &* 0x9e37_0001)
    }

    /// The order in which a loop visits blocks, or stretches where their lengths differ.
    static func order(of workload: Workload, loop: UInt64) -> BlockOrder {
        let length = UInt64(workload.blockSize)
        return BlockOrder(
            count: (workload.size + length - 1) / length,
            shuffledBy: workload.pattern.isRandom ? workload.randseed &+ loop : nil)
    }

    /// Whether there is no more.
    var isAtEnd: Bool { bytes >= workload.size }

    /// The next I/O's header; nil after the last.
    mutating func next() -> FioHeader? {
        guard bytes < workload.size else { return nil }
        let (offset, length) = place()
        defer {
            position += 1
            bytes += UInt64(length)
        }
        let format = workload.format
        var header = FioHeader(
            layout: format.release.layout, method: format.method ?? BlockFormat.defaultMethod,
            length: UInt32(length), seed: seeds.next(), offset: workload.offset + offset,
            seconds: stamp.seconds, nanoseconds: stamp.nanoseconds, thread: workload.thread,
            number: position, pattern: format.pattern)
        header.release = format.release
        return header
    }

    /// Where the next I/O goes, from the start of the range.
    private mutating func place() -> (offset: UInt64, length: Int) {
        let largest = UInt64(workload.blockSize)
        if workload.repeats {
            let unit = UInt64(workload.sizes.smallest)
            let offset = random.next() % (workload.size / unit) * unit
            let length = UInt64(workload.sizes.draw(&random))
            return (offset, Int(min(length, workload.size - offset)))
        }
        if workload.sizes.isFixed {
            return (order.block(at: position) * largest, Int(largest))
        }
        let start = order.block(at: stretch.number) * largest
        let offset = start + stretch.done
        let room = min(start + largest, workload.size) - offset
        let length = min(UInt64(workload.sizes.draw(&random)), room)
        stretch =
            length < room
            ? (stretch.number, stretch.done + length) : (stretch.number + 1, 0)
        return (offset, Int(length))
    }

    /// The sequence of the loop after this one: its seeds go on, so that data of two loops never look
    /// alike.
    func following() -> BlockSequence {
        BlockSequence(workload, stamp: stamp, seeds: seeds, loop: loop + 1)
    }
}

/// What the last of several writes to each place left there, for a part of the range: blocks that are
/// drawn at random may have been written several times.
struct LatestWrites {
    private struct Write {
        var seed: UInt64
        var number: UInt64
        /// Where the unit begins in its I/O, in bytes.
        var position: UInt32
    }

    /// So many units are remembered at once; larger ranges are gone through in several passes.
    static let window: UInt64 = 1 << 18

    private let workload: Workload
    private let unit: UInt64
    private let range: Range<UInt64>
    private var writes: [UInt64: Write] = [:]
    private var template: FioHeader?

    /// - Parameter range: the units that are remembered, from the start of the workload's range.
    init(_ workload: Workload, range: Range<UInt64>) {
        self.workload = workload
        self.range = range
        unit = UInt64(workload.sizes.smallest)
    }

    /// How many units a workload has.
    static func units(of workload: Workload) -> UInt64 {
        workload.size / UInt64(workload.sizes.smallest)
    }

    /// Remembers an I/O.
    mutating func add(_ header: FioHeader) {
        template = template ?? header
        let first = (header.offset - workload.offset) / unit
        let last = first + UInt64(header.length) / unit
        let (low, high) = (max(first, range.lowerBound), min(last, range.upperBound))
        guard low < high else { return }
        for index in low..<high {
            writes[index] = Write(
                seed: header.seed, number: header.number,
                position: UInt32((index - first) * unit))
        }
    }

    /// The headers of what stands there now, unit by unit, in the order of the range. Each is that of a
    /// part of an I/O.
    func headers() -> some Sequence<FioHeader> {
        let places = writes.keys.sorted()
        return places.lazy.compactMap { index in header(of: index) }
    }

    private func header(of index: UInt64) -> FioHeader? {
        guard var header = template, let write = writes[index] else { return nil }
        header.seed = write.seed
        header.number = write.number
        header.position = UInt64(write.position)
        header.offset = workload.offset + index * unit
        header.length = UInt32(unit)
        return header
    }
}
