// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// What a run will do: each job with its target, its part of it and its turn. Making it changes
/// nothing, and refuses what cannot work.
struct Plan: Sendable {
    /// One thread's work.
    struct Job: Sendable {
        let name: String
        /// Which of ``Plan/targets``.
        let target: Int
        let workload: Workload
        /// Jobs of one turn run at once; the next turn waits for all of them.
        let turn: Int
        /// Jobs of one group may be reported as one.
        let group: Int
        let isGrouped: Bool

        var range: Range<UInt64> { workload.offset..<(workload.offset + workload.size) }
    }

    private(set) var targets: [VerifyTarget] = []
    private(set) var jobs: [Job] = []

    /// - Parameter target: what jobs without a file of their own are aimed at.
    init(_ specs: [JobSpec], target: String?, on host: any Host) throws(IopmemError) {
        var turn = 0
        var group = 0
        for spec in specs {
            if spec.waits && !jobs.isEmpty { turn += 1 }
            if (spec.waits || spec.beginsGroup) && !jobs.isEmpty { group += 1 }
            do throws(IopmemError) {
                try add(spec, target, turn: turn, group: group, host)
            } catch {
                throw Self.placed(error, spec)
            }
        }
        try refuseOverlaps()
    }

    private static func placed(_ error: IopmemError, _ spec: JobSpec) -> IopmemError {
        guard let place = spec.place else { return error }
        return IopmemError(
            error.code, "\(place): job \(spec.name)", because: error.message, remedy: error.remedy)
    }

    private mutating func add(
        _ spec: JobSpec, _ target: String?, turn: Int, group: Int, _ host: any Host
    ) throws(IopmemError) {
        try spec.workload.sizes.validate()
        let paths = try Self.paths(spec, target)
        for (copy, path) in paths.enumerated() {
            let index = try find(path, host)
            var workload = spec.workload
            workload.direct =
                spec.direct ?? (targets[index].kind == .blockNode && workload.engine != .mmap)
            workload.thread = UInt16(jobs.count + 1)
            if let increment = spec.offsetIncrement {
                workload.offset += increment * UInt64(copy)
            }
            workload.size = try size(of: index, workload, percent: spec.sizePercent)
            let isShared = spec.offsetIncrement == nil && Set(paths).count < paths.count
            if isShared { try Self.share(&workload, copy, of: paths.count) }
            try workload.validate()
            jobs.append(
                Job(
                    name: spec.name, target: index, workload: workload, turn: turn, group: group,
                    isGrouped: spec.isGrouped))
        }
    }

    /// The file of each copy. Without a name, each has one of its own, as fio would call it.
    private static func paths(_ spec: JobSpec, _ target: String?) throws(IopmemError) -> [String] {
        if let target, let filename = spec.filename, filename != target {
            throw IopmemError(
                .usage, "its filename is \(filename), and the target \(target)",
                remedy: "leave out one of them")
        }
        if let name = spec.filename ?? target {
            let path =
                spec.filename != nil && spec.directory != nil && !name.hasPrefix("/")
                ? "\(spec.directory ?? "")/\(name)" : name
            return [String](repeating: path, count: spec.copies)
        }
        guard let directory = spec.directory else {
            throw IopmemError(
                .usage, "nothing says on what", remedy: "add filename=, or name a TARGET")
        }
        return (0..<spec.copies).map { "\(directory)/\(spec.name).\($0).0" }
    }

    private mutating func find(_ path: String, _ host: any Host) throws(IopmemError) -> Int {
        let target = try VerifyTarget.find(path, on: host)
        if let index = targets.firstIndex(where: { $0.path == target.path }) { return index }
        targets.append(target)
        return targets.count - 1
    }

    /// A part of the range for each copy: several that write to one place would find each other's data.
    private static func share(
        _ workload: inout Workload, _ copy: Int, of count: Int
    ) throws(IopmemError) {
        let block = UInt64(workload.blockSize)
        let part = workload.size / UInt64(count) / block * block
        guard part > 0 else {
            throw IopmemError(
                .usage, "\(count) jobs cannot share \(workload.size) bytes: each needs a block",
                remedy: "use a smaller --bs or --numjobs, or a larger --size")
        }
        workload.offset += part * UInt64(copy)
        // The last one takes what is left over.
        workload.size = copy == count - 1 ? workload.size - part * UInt64(copy) : part
    }

    /// Bytes that jobs so far will have made of a target.
    private func planned(_ target: Int) -> UInt64 {
        jobs.filter { $0.target == target && $0.workload.writes }.map(\.range.upperBound).max() ?? 0
    }

    private func size(
        of index: Int, _ workload: Workload, percent: Int?
    ) throws(IopmemError) -> UInt64 {
        let target = targets[index]
        var available = planned(index)
        switch target.kind {
        case .newFile:
            if workload.writes {
                guard workload.size > 0 else {
                    throw IopmemError(
                        .usage, "\(target.path) does not exist yet",
                        remedy: "say how large it shall be: --size")
                }
                return workload.size
            }
            guard available > 0 else {
                throw IopmemError(
                    .notFound, "\(target.path) does not exist",
                    remedy: "write it first: leave out --verify-only, and give --size")
            }
        case .daxNode:
            guard workload.engine == .mmap else {
                throw IopmemError(
                    .usage, "\(target.path) is memory that can only be mapped",
                    remedy: "use --ioengine mmap")
            }
            available = target.size
        case .file:
            available = max(available, target.size)
            if workload.writes && workload.size > 0 { return workload.size }
        case .blockNode:
            let path = target.path
            do throws(Errno) {
                available = try OpenFile(path).blockGeometry().size
            } catch {
                throw IopmemError(error, "cannot open \(path)")
            }
        }
        return try Self.size(workload, percent, of: target.path, available)
    }

    private static func size(
        _ workload: Workload, _ percent: Int?, of path: String, _ available: UInt64
    ) throws(IopmemError) -> UInt64 {
        guard workload.offset < available else {
            throw IopmemError(
                .usage,
                available == 0
                    ? "\(path) is empty"
                    : "--offset \(workload.offset) is behind the end of \(path) (\(available) bytes)",
                remedy: available == 0 ? "say how much shall be written: --size" : nil)
        }
        let rest = available - workload.offset
        let unit = UInt64(workload.sizes.smallest)
        if let percent { return max(rest / 100 * UInt64(percent) / unit, 1) * unit }
        guard workload.size <= rest else {
            throw IopmemError(
                .usage,
                "\(path) holds \(rest) bytes from --offset on, fewer than --size \(workload.size)",
                remedy: "use --size \(rest / unit * unit)")
        }
        return workload.size > 0 ? workload.size : rest
    }

    /// Two jobs that run at once must not change what the other one reads back.
    private func refuseOverlaps() throws(IopmemError) {
        for (index, job) in jobs.enumerated() {
            for other in jobs[(index + 1)...]
            where other.target == job.target && other.turn == job.turn
                && other.range.overlaps(job.range) && (job.workload.writes || other.workload.writes)
            {
                let names = job.name == other.name ? "its copies" : "\(job.name) and \(other.name)"
                throw IopmemError(
                    .usage,
                    "\(names) would write to the same bytes of \(targets[job.target].path) at once",
                    because: "each would find the other's data",
                    remedy: "give them offsets of their own, or let one wait: stonewall")
            }
        }
    }

    /// The jobs of each turn, with their places in ``jobs``.
    var turns: [[Int]] {
        let last = jobs.last?.turn ?? -1
        return (0..<max(last + 1, 0)).map { turn in
            jobs.indices.filter { jobs[$0].turn == turn }
        }
    }

    /// Whether anything is written to a target.
    func writes(to target: Int) -> Bool {
        jobs.contains { $0.target == target && $0.workload.writes }
    }

    /// The bytes of a target that jobs read or write.
    func range(of target: Int) -> Range<UInt64> {
        let ranges = jobs.filter { $0.target == target }.map(\.range)
        let start = ranges.map(\.lowerBound).min() ?? 0
        return start..<(ranges.map(\.upperBound).max() ?? start)
    }
}
