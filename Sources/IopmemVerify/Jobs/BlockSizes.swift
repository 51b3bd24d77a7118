// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// How long each I/O is: fio's `bs`, `bsrange` and `bssplit`.
public enum BlockSizes: Sendable, Equatable {
    /// `bs`: all of one length.
    case fixed(Int)
    /// `bsrange`: any multiple of the smallest up to the largest, each as often as the others.
    case range(Int, Int)
    /// `bssplit`: some lengths, each with its share.
    case split([Share])

    /// One length of a split.
    public struct Share: Sendable, Equatable {
        /// Bytes.
        public var size: Int
        /// Of a hundred I/Os, so many.
        public var percent: Int

        /// That share.
        public init(size: Int, percent: Int) {
            self.size = size
            self.percent = percent
        }
    }

    /// Bytes of the longest; buffers have as many.
    public var largest: Int {
        switch self {
        case .fixed(let size): size
        case .range(_, let largest): largest
        case .split(let shares): shares.map(\.size).max() ?? 0
        }
    }

    /// Bytes of the shortest. All others are multiples of it, and where they differ in length each has
    /// a header in each part of that many bytes, as fio has (init.c, `verify_interval`).
    public var smallest: Int {
        switch self {
        case .fixed(let size): size
        case .range(let smallest, _): smallest
        case .split(let shares): shares.map(\.size).min() ?? 0
        }
    }

    /// Whether all are of one length.
    public var isFixed: Bool { smallest == largest }

    /// The length of the next one.
    func draw(_ random: inout SplitMix64) -> Int {
        switch self {
        case .fixed(let size):
            return size
        case .range(let smallest, let largest):
            let steps = UInt64(largest / smallest)
            return smallest * (1 + Int(random.next() % steps))
        case .split(let shares):
            var place = Int(random.next() % 100)
            for share in shares {
                if place < share.percent { return share.size }
                place -= share.percent
            }
            return largest
        }
    }

    /// Refuses lengths that headers or devices cannot have.
    func validate() throws(IopmemError) {
        switch self {
        case .fixed(let size):
            try Self.validate(size, "--bs")
        case .range(let smallest, let largest):
            for size in [smallest, largest] { try Self.validate(size, "--bsrange") }
            guard smallest <= largest, largest.isMultiple(of: smallest) else {
                throw IopmemError(
                    .usage,
                    "--bsrange \(smallest)-\(largest): the larger one is no multiple of the smaller one"
                )
            }
        case .split(let shares):
            for share in shares {
                try Self.validate(share.size, "--bssplit")
                guard share.size.isMultiple(of: smallest) else {
                    throw IopmemError(
                        .usage,
                        "--bssplit: \(share.size) is no multiple of \(smallest), the smallest one")
                }
            }
            guard !shares.isEmpty, shares.reduce(0, { $0 + $1.percent }) == 100 else {
                throw IopmemError(.usage, "--bssplit: the shares do not make 100 percent")
            }
        }
    }

    private static func validate(_ size: Int, _ option: String) throws(IopmemError) {
        let sizes = Workload.blockSizes
        guard sizes.contains(size), size.isMultiple(of: 512) else {
            throw IopmemError(
                .usage,
                "\(option) \(size) is not a multiple of 512 between 512 and \(ByteSize.exact(UInt64(sizes.upperBound)))"
            )
        }
    }
}

extension BlockSizes: CustomStringConvertible {
    /// As fio's option would have it.
    public var description: String {
        func exact(_ size: Int) -> String { ByteSize.exact(UInt64(max(size, 0))) }
        return switch self {
        case .fixed(let size): exact(size)
        case .range(let smallest, let largest): "\(exact(smallest))-\(exact(largest))"
        case .split(let shares):
            shares.map { "\(exact($0.size))/\($0.percent)" }.joined(separator: ":")
        }
    }
}

/// The generator SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
/// 2014).
struct SplitMix64: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    /// Its finaliser.
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}
