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
    /// fio's `bs`, in bytes.
    public var blockSize: Int
    /// Where the range begins, in bytes.
    public var offset: UInt64
    /// Bytes in the range, a multiple of `blockSize`.
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
    /// fio's `verify` and what belongs to it.
    public var format: BlockFormat
    /// fio's `loops`: how often the whole is done, each time with other data.
    public var loops: Int

    /// fio's own default for `randseed`.
    public static let defaultRandseed: UInt64 = 0x89
    /// The largest `bs` that is taken: buffers stay small.
    public static let blockSizes = 512...(16 << 20)

    /// How many I/Os may be under way.
    public static let depths = 1...1024
    /// Bytes of all buffers together.
    static let memoryLimit = 1 << 30

    /// Whether the target is changed.
    public var writes: Bool { pattern.writes && !verifyOnly }
    /// How many blocks one loop covers.
    public var blockCount: UInt64 { size / UInt64(blockSize) }

    /// A workload; `validate()` says whether it makes sense.
    public init(
        pattern: Pattern = .write, blockSize: Int = 4096, offset: UInt64 = 0, size: UInt64,
        engine: EngineName = .psync, depth: Int = 1, direct: Bool = false, verifyOnly: Bool = false,
        randseed: UInt64 = Workload.defaultRandseed, format: BlockFormat = BlockFormat(),
        loops: Int = 1
    ) {
        self.pattern = pattern
        self.blockSize = blockSize
        self.offset = offset
        self.size = size
        self.engine = engine
        self.depth = depth
        self.direct = direct
        self.verifyOnly = verifyOnly
        self.randseed = randseed
        self.format = format
        self.loops = loops
    }

    /// Refuses what contradicts itself, with the nearest numbers that do not.
    public func validate() throws(IopmemError) {
        try Self.validate(blockSize: blockSize)
        try format.validate(blockSize: blockSize)
        guard size > 0 else {
            throw IopmemError(.usage, "--size is 0: there is nothing to verify")
        }
        let block = UInt64(blockSize)
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
        guard loops > 0 else {
            throw IopmemError(.usage, "--loops is \(loops): there is nothing to verify")
        }
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

    /// Refuses a block size that headers or devices cannot have.
    public static func validate(blockSize: Int) throws(IopmemError) {
        guard blockSizes.contains(blockSize), blockSize.isMultiple(of: 512) else {
            throw IopmemError(
                .usage,
                "--bs \(blockSize) is not a multiple of 512 between 512 and \(ByteSize.exact(UInt64(blockSizes.upperBound)))"
            )
        }
    }
}
