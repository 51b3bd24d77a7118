// SPDX-License-Identifier: GPL-2.0
public import Iopmem

/// What a run does, in fio's words.
public struct Workload: Sendable, Equatable {
    /// fio's `rw`.
    public enum Pattern: String, Sendable, CaseIterable {
        /// Write every block in order, then verify.
        case write
        /// The same in random order.
        case randwrite
        /// Verify what is there, in order.
        case read
        /// The same in random order.
        case randread
        /// Write in order, verifying earlier blocks in between, then verify all.
        case readwrite
        /// The same in random order.
        case randrw

        /// Whether it changes the target.
        public var writes: Bool { self != .read && self != .randread }
        /// Whether blocks come in random order, each exactly once.
        public var isRandom: Bool { rawValue.hasPrefix("rand") }
        /// Whether reads come between the writes.
        public var isMixed: Bool { self == .readwrite || self == .randrw }
    }

    /// fio's `ioengine`.
    public enum EngineName: String, Sendable, CaseIterable {
        /// pread(2) and pwrite(2).
        case psync
        /// Copies to and from a shared mapping.
        case mmap
        /// io_uring(7) with registered buffers; the only one that has several I/Os under way.
        case ioUring = "io_uring"
    }

    /// fio's `rw`.
    public var pattern: Pattern
    /// fio's `bs`, `bsrange` or `bssplit`.
    public var sizes: BlockSizes
    /// Where the range begins, in bytes.
    public var offset: UInt64
    /// Bytes in the range, a multiple of the smallest block.
    public var size: UInt64
    /// fio's `ioengine`.
    public var engine: EngineName
    /// fio's `iodepth`: how many I/Os are under way at once.
    public var depth: Int
    /// fio's `direct`: O_DIRECT.
    public var direct: Bool
    /// fio's `verify_only`: nothing is written whatever the pattern says.
    public var verifyOnly: Bool
    /// fio's `randseed`; the default is fio's.
    public var randseed: UInt64
    /// fio's `norandommap`: random blocks are drawn without remembering which have been; some are
    /// written several times and others never.
    public var repeats = false
    /// fio's `verify` and what belongs to it.
    public var format: BlockFormat
    /// How long, how often and how fast.
    public var pace = Pace()
    /// fio's `verify_backlog`: so many blocks are written before they are verified, besides what is
    /// verified in the end.
    public var backlog: UInt64?
    /// fio's `verify_backlog_batch`: how many of them are verified at a time; nil for all.
    public var backlogBatch: UInt64?
    /// fio's `fsync`: what is written is made durable after so many blocks.
    public var syncEvery: UInt64?
    /// fio's `verify_fatal`: the first wrong block ends the run.
    public var stopsAtFirst = false
    /// The job's number among those of a run, from 1, as fio counts them: data of two jobs differ.
    public var thread: UInt16 = 1

    /// Bytes of the longest I/O.
    public var blockSize: Int { sizes.largest }
    /// fio's `loops`.
    public var loops: Int {
        get { pace.loops }
        set { pace.loops = newValue }
    }

    /// fio's own default for `randseed`.
    public static let defaultRandseed: UInt64 = 0x89
    /// The largest `bs` that is taken: buffers stay small.
    public static let blockSizes = 512...(16 << 20)

    /// The most blocks that wait to be verified; what each holds is remembered where blocks repeat.
    public static let largestBacklog: UInt64 = 1 << 18
    /// How many I/Os may be under way.
    public static let depths = 1...1024
    /// Bytes of all buffers together.
    static let memoryLimit = 1 << 30

    /// Whether the target is changed.
    public var writes: Bool { pattern.writes && !verifyOnly }
    /// How many blocks one loop covers, where all are of one length.
    public var blockCount: UInt64? {
        sizes.isFixed ? size / UInt64(blockSize) : nil
    }
    /// Bytes that one header covers.
    var headerUnit: Int { min(format.interval ?? sizes.smallest, sizes.smallest) }

    /// A workload; `validate()` says whether it makes sense.
    public init(
        pattern: Pattern = .write, blockSize: Int = 4096, sizes: BlockSizes? = nil,
        offset: UInt64 = 0, size: UInt64,
        engine: EngineName = .psync, depth: Int = 1, direct: Bool = false, verifyOnly: Bool = false,
        randseed: UInt64 = Workload.defaultRandseed, format: BlockFormat = BlockFormat(),
        loops: Int = 1
    ) {
        self.pattern = pattern
        self.sizes = sizes ?? .fixed(blockSize)
        self.offset = offset
        self.size = size
        self.engine = engine
        self.depth = depth
        self.direct = direct
        self.verifyOnly = verifyOnly
        self.randseed = randseed
        self.format = format
        pace.loops = loops
    }

    /// Refuses what contradicts itself, with the nearest numbers that do not.
    public func validate() throws(IopmemError) {
        try sizes.validate()
        try format.validate(blockSize: sizes.smallest)
        guard size > 0 else {
            throw IopmemError(.usage, "--size is 0: there is nothing to verify")
        }
        let block = UInt64(sizes.smallest)
        guard size.isMultiple(of: block) else {
            let below = size / block * block
            let above = below.addingReportingOverflow(block)
            let nearest = [below, above.overflow ? 0 : above.partialValue].filter { $0 > 0 }
                .map { "--size \(ByteSize.exact($0))" }.joined(separator: " or ")
            throw IopmemError(
                .usage, "the size \(size) is not a multiple of --bs \(ByteSize.exact(block))",
                remedy: "use \(nearest)")
        }
        guard offset.isMultiple(of: 512) else {
            throw IopmemError(.usage, "--offset \(offset) is not a multiple of 512")
        }
        guard offset <= UInt64(Int64.max) - min(size, UInt64(Int64.max)) else {
            throw IopmemError(
                .usage, "--offset \(offset) and --size \(size) lie beyond what a file can hold")
        }
        try validatePace()
        guard Self.depths.contains(depth), depth <= Self.memoryLimit / blockSize else {
            let most = min(Self.depths.upperBound, Self.memoryLimit / blockSize)
            throw IopmemError(
                .usage, "--iodepth \(depth) is not between 1 and \(most)",
                remedy: depth > most ? "use --iodepth \(most) or a smaller --bs" : nil)
        }
        guard depth == 1 || engine == .ioUring else {
            throw IopmemError(
                .usage,
                "--iodepth \(depth) means nothing to --ioengine \(engine.rawValue), which waits for"
                    + " each block",
                remedy: "use --ioengine io_uring")
        }
        if engine == .mmap && direct {
            throw IopmemError(
                .usage, "--direct 1 means nothing to --ioengine mmap, which makes no I/O calls",
                remedy: "leave out --direct, or use --ioengine psync")
        }
    }

    private func validatePace() throws(IopmemError) {
        guard loops > 0 else {
            throw IopmemError(.usage, "--loops is \(loops): there is nothing to verify")
        }
        guard pace.runtime.map({ $0 > .zero }) ?? true else {
            throw IopmemError(.usage, "--runtime is 0: there is no time to verify anything")
        }
        guard !pace.isTimeBased || pace.runtime != nil else {
            throw IopmemError(
                .usage, "--time-based needs to know how long", remedy: "add --runtime 30")
        }
        for limit in [pace.rate, pace.rateIOPS] where limit.read == 0 || limit.write == 0 {
            throw IopmemError(.usage, "a rate of 0 never moves a block")
        }
        guard !repeats || pattern.isRandom else {
            throw IopmemError(
                .usage,
                "--norandommap means nothing to --rw \(pattern.rawValue), which goes in order",
                remedy: "use --rw rand\(pattern == .readwrite ? "rw" : pattern.rawValue)")
        }
        for (option, value) in [
            ("--verify-backlog", backlog), ("--verify-backlog-batch", backlogBatch),
        ] {
            guard let value else { continue }
            guard value > 0, value <= Self.largestBacklog else {
                throw IopmemError(
                    .usage, "\(option) \(value) is not between 1 and \(Self.largestBacklog)")
            }
            guard writes else {
                throw IopmemError(
                    .usage, "\(option) means nothing where nothing is written",
                    remedy: "leave it out, or use --rw write")
            }
        }
        if backlogBatch != nil && backlog == nil {
            throw IopmemError(
                .usage, "--verify-backlog-batch says how much of --verify-backlog, which is missing"
            )
        }
        if syncEvery == 0 { throw IopmemError(.usage, "--fsync 0 never makes anything durable") }
    }
}
