// SPDX-License-Identifier: GPL-2.0

/// What is measured against what.
enum BenchDevice: String, CaseIterable, Sendable {
    case iopmem
    case pmem = "nd_pmem"
    case brd

    /// What iopmem is compared with.
    static let peers: [BenchDevice] = [.brd, .pmem]

    /// Its block node in the guest.
    var node: String {
        switch self {
        case .iopmem: "/dev/iopmem0n1"
        case .pmem: "/dev/pmem0"
        case .brd: "/dev/ram0"
        }
    }
}

/// One way to do I/O: a line of the table.
struct BenchLine: Hashable, Sendable {
    enum Pattern: String, Sendable {
        case randomRead = "randread"
        case randomWrite = "randwrite"
        case read
        case write

        var isWrite: Bool { self == .randomWrite || self == .write }
        var isRandom: Bool { self == .randomRead || self == .randomWrite }

        var words: String {
            switch self {
            case .randomRead: "random read"
            case .randomWrite: "random write"
            case .read: "sequential read"
            case .write: "sequential write"
            }
        }
    }

    let pattern: Pattern
    /// KiB.
    let block: Int
    /// fio's name of it.
    let engine: String
    let depth: Int
    let jobs: Int

    /// MiB that are moved, in no more than a second. An amount and not only a time, because a busy host
    /// makes little of a time; and enough of it that the start of fio's jobs does not count.
    var amount: Int { block == 4 ? Self.smallAmount : Self.largeAmount }
    static let smallAmount = 192
    static let largeAmount = 768

    /// As in `4 KiB random read`.
    var work: String {
        "\(block >= 1024 ? "\(block / 1024) MiB" : "\(block) KiB") \(pattern.words)"
    }

    /// As in `io_uring 16, 2 jobs`.
    var manner: String {
        (engine == "psync" ? engine : "\(engine) \(depth)")
            + (jobs == 1 ? ", 1 job" : ", \(jobs) jobs")
    }

    /// The ratio that iopmem's speed must have to the other's, as a median.
    func wanted(against other: BenchDevice) -> Double {
        guard other == .pmem, block == 4 else { return 1 }
        if !pattern.isWrite { return 1.5 }
        return engine == "psync" ? 1 : 1.25
    }

    /// Every line: three block sizes, two directions, psync and io_uring at three depths, one job and two.
    static let all: [BenchLine] = {
        let work: [(Pattern, Int)] = [
            (.randomRead, 4), (.randomWrite, 4), (.read, 64), (.write, 64), (.read, 1024),
            (.write, 1024),
        ]
        let manners = [("psync", 1), ("io_uring", 1), ("io_uring", 16), ("io_uring", 64)]
        return work.flatMap { pattern, block in
            manners.flatMap { engine, depth in
                [1, 2].map { jobs in
                    BenchLine(
                        pattern: pattern, block: block, engine: engine, depth: depth, jobs: jobs)
                }
            }
        }
    }()

    /// One line of each kind, for a look.
    static let few = all.filter { $0.jobs == 1 && ($0.engine == "psync" || $0.depth == 16) }

    /// The lines whose two jobs are compared with one.
    static let scaling = all.filter {
        $0.block == 4 && ($0.engine == "psync" || $0.depth == 16)
    }
}
