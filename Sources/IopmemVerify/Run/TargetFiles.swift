// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// A target while jobs run on it: held by this run alone, with as many descriptors as its jobs need.
final class TargetFiles: Sendable {
    let target: VerifyTarget
    /// The one that holds it.
    let main: OpenFile
    private let other: OpenFile?

    /// The descriptor for a job.
    func file(for workload: Workload) -> OpenFile {
        workload.direct == isMainDirect ? main : other ?? main
    }

    private let isMainDirect: Bool

    /// Opens what the jobs of a plan need, and gives it room for what they write.
    ///
    /// - Parameter index: which of the plan's targets.
    init(_ index: Int, of plan: Plan, on host: any Host) throws(IopmemError) {
        target = plan.targets[index]
        let jobs = plan.jobs.filter { $0.target == index }
        let writes = plan.writes(to: index)
        let isDirect = jobs.first?.workload.direct ?? false
        isMainDirect = isDirect
        let opening = Opening(target: target, writes: writes, host: host)
        main = try opening.open(direct: isDirect, isFirst: true)
        do throws(IopmemError) {
            try opening.prepare(main, jobs)
            other =
                jobs.contains { $0.workload.direct != isDirect }
                ? try opening.open(direct: !isDirect, isFirst: false) : nil
        } catch {
            // A file that could not be made whole is not left behind.
            if target.kind == .newFile { FileName.remove(target.path) }
            throw error
        }
    }
}

/// How a target is opened.
private struct Opening {
    let target: VerifyTarget
    let writes: Bool
    let host: any Host

    func open(direct: Bool, isFirst: Bool) throws(IopmemError) -> OpenFile {
        var options: OpenFile.Options = []
        if writes { options.insert(.write) }
        if direct { options.insert(.direct) }
        if isFirst && target.kind == .blockNode && writes { options.insert(.exclusive) }
        if isFirst && target.kind == .newFile { options.formUnion([.create, .exclusive]) }
        do throws(Errno) {
            return try OpenFile(target.path, options)
        } catch .resourceBusy {
            throw target.busy(on: host)
        } catch {
            throw failure(error, direct)
        }
    }

    private func failure(_ error: Errno, _ direct: Bool) -> IopmemError {
        if error == .invalidArgument && direct {
            return IopmemError(
                .unsupported, "cannot open \(target.path) with O_DIRECT",
                because: error.description, remedy: "use --direct 0")
        }
        return IopmemError(
            error, "cannot open \(target.path) \(writes ? "for writing" : "for reading")",
            remedy: error == .readOnlyFileSystem
                ? "mount the file system read-write, or use --verify-only" : nil)
    }

    func prepare(_ file: OpenFile, _ jobs: [Plan.Job]) throws(IopmemError) {
        if target.memory != nil { return try lock(file) }
        guard target.kind == .blockNode else { return try prepareFile(file, jobs) }
        let geometry: BlockGeometry
        do throws(Errno) {
            geometry = try file.blockGeometry()
        } catch {
            throw IopmemError(error, "cannot ask \(target.path) for its size")
        }
        guard !(writes && geometry.isReadOnly) else {
            throw IopmemError(.failed, "\(target.path) is read-only", remedy: "use --verify-only")
        }
        for workload in jobs.map(\.workload) where workload.direct {
            guard workload.sizes.smallest.isMultiple(of: geometry.logicalBlock),
                workload.offset.isMultiple(of: UInt64(geometry.logicalBlock))
            else {
                throw IopmemError(
                    .usage,
                    "\(target.path) has larger blocks than --bs \(workload.sizes.smallest) or --offset \(workload.offset)",
                    remedy: "use --bs 4k, or --direct 0")
            }
        }
    }

    private func lock(_ file: OpenFile) throws(IopmemError) {
        guard writes else { return }
        do throws(Errno) {
            try file.lock()
        } catch .wouldBlock {
            throw IopmemError(
                .busy, "\(target.path) is locked", because: "another run is on it",
                remedy: "wait for it to end")
        } catch {
            throw IopmemError(error, "cannot lock \(target.path)")
        }
    }

    private func prepareFile(_ file: OpenFile, _ jobs: [Plan.Job]) throws(IopmemError) {
        guard writes else { return }
        try lock(file)
        var length: UInt64 = 0
        do throws(Errno) {
            for job in jobs where job.workload.writes {
                length = job.workload.size
                try file.allocate(offset: job.workload.offset, length: length)
            }
        } catch {
            throw IopmemError(
                error, "cannot give \(target.path) \(length) bytes",
                remedy: error == .noSpace ? "give a smaller --size" : nil)
        }
    }
}

extension VerifyTarget {
    /// The refusal of a block node that somebody holds.
    func busy(on host: any Host) -> IopmemError {
        let holders = device.map { host.holders(of: $0).map(\.description) } ?? []
        return IopmemError(
            .busy, "\(path) is in use",
            because: holders.isEmpty ? nil : holders.joined(separator: ", "),
            remedy: "unmount it, or test a file on it instead")
    }
}
