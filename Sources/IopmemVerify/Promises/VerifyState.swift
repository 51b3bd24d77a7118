// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Synchronization
import SystemPackage

/// The file behind `--state`: which workload was run, and how far it had promised its blocks to be
/// durable.
///
/// It is text, and a job file of fio's: the job comes first, and in two lines that are written in turn
/// stands how far it is, so that one of them is whole whenever the power goes.
///
///     ; 17 loop 0 announced 128 promised 64 crc32c 1234abcd
final class VerifyState: Sendable {
    /// How far a run is.
    struct Record: Sendable, Equatable {
        /// Grows with each.
        var number: UInt64 = 0
        var loop: UInt64 = 0
        /// Blocks of this loop whose writing may have begun.
        var announced: UInt64 = 0
        /// Blocks of this loop that are durable.
        var promised: UInt64 = 0

        private var words: String {
            "; \(number) loop \(loop) announced \(announced) promised \(promised)"
        }

        private static func checksum(_ text: String) -> String {
            var text = text
            return String(text.withUTF8 { CRC32C.checksum(UnsafeRawBufferPointer($0)) }, radix: 16)
        }

        var line: String { "\(words) crc32c \(Self.checksum(words))" }

        init() {}

        init?(_ line: Substring) {
            let parts = line.split(separator: " ")
            guard parts.count == 10, parts[0] == ";", let number = UInt64(parts[1]),
                let loop = UInt64(parts[3]), let announced = UInt64(parts[5]),
                let promised = UInt64(parts[7])
            else { return nil }
            self.number = number
            self.loop = loop
            self.announced = announced
            self.promised = promised
            guard promised <= announced, self.line == line.prefix(self.line.count),
                parts[9] == Self.checksum(words)
            else { return nil }
        }
    }

    private struct Contents {
        var record = Record()
        var file: OpenFile?
        /// Blocks of a loop.
        var count: UInt64 = 0
        var outcome: PromiseOutcome?
    }

    /// Bytes of the part with the job, and of each line behind it.
    private static let headSize = 4096
    private static let lineSize = 512
    private static let title = "; iopmemctl verify --state, version 1"
    /// Blocks between two promises where nobody says how many.
    private static let defaultStep: UInt64 = 64

    private let path: String
    /// The one job, as it is run now.
    let jobs: [JobSpec]
    /// The time that the headers carry.
    private let stamp: (seconds: UInt32, nanoseconds: UInt32)
    private let contents: Mutex<Contents>

    /// Reads the file where the job only verifies; else makes ready to write it.
    init(_ path: String, for jobs: [JobSpec]) throws(IopmemError) {
        self.path = path
        guard jobs.count == 1, var job = jobs.first, job.copies == 1 else {
            throw IopmemError(
                .usage, "--state remembers one job, and here are several",
                remedy: "give each a run and a --state of its own")
        }
        guard !job.workload.writes else {
            try Self.refuseUnfit(job.workload)
            if job.workload.randseed == Workload.defaultRandseed {
                // What an earlier run with the same seed left there must not be taken for this one's.
                job.workload.randseed = UInt64.random(in: 1 ... .max)
            }
            job.workload.syncEvery = job.workload.syncEvery ?? Self.defaultStep
            let now = Timestamp.now()
            stamp = (UInt32(truncatingIfNeeded: now.seconds), now.nanoseconds)
            self.jobs = [job]
            contents = Mutex(Contents())
            return
        }
        let text: String
        do throws(Errno) {
            text = try Self.text(of: path)
        } catch {
            throw IopmemError(
                error, "cannot read the state \(path)",
                remedy: "write it first: iopmemctl verify TARGET --state \(path)")
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.first == Self.title[...] else {
            throw IopmemError(
                .usage, "\(path) is no state of this tool's",
                remedy: "it begins with: \(Self.title)")
        }
        var recorded = try JobFile.jobs(in: text, file: path)
        let records = lines.compactMap { Record($0) }
        guard recorded.count == 1, let newest = records.max(by: { $0.number < $1.number }),
            let stamp = Self.stamp(in: lines)
        else {
            throw IopmemError(.usage, "\(path) is damaged: it tells no state")
        }
        recorded[0].workload.verifyOnly = true
        recorded[0].workload.format.release = Self.release(in: lines) ?? .v3_3
        // Whose name it is now is for the caller to say.
        recorded[0].filename = nil
        self.jobs = recorded
        self.stamp = stamp
        contents = Mutex(Contents(record: newest))
    }

    private static func text(of path: String) throws(Errno) -> String {
        let file = try OpenFile(path)
        // More than it can have is not read.
        let buffer = AlignedBuffer(size: 2 * headSize)
        let count = try file.read(into: buffer.bytes, at: 0)
        return String(decoding: buffer.bytes[..<count], as: UTF8.self)
    }

    private static func refuseUnfit(_ workload: Workload) throws(IopmemError) {
        guard workload.sizes.isFixed else {
            throw IopmemError(.usage, "--state needs blocks of one length: --bs")
        }
        guard !workload.repeats else {
            throw IopmemError(
                .usage, "--state cannot tell what --norandommap wrote last", remedy: "leave it out")
        }
    }

    /// Refuses a state that would be lost with what it speaks of.
    func refuseUnfit(_ plan: Plan) throws(IopmemError) {
        guard let target = plan.targets.first,
            let folder = try? FileStatus(of: VerifyTarget.folder(of: path))
        else { return }
        let own =
            target.isDevice
            ? (try? FileStatus(of: target.path))?.device
            : (try? FileStatus(of: VerifyTarget.folder(of: target.path)))?.fileSystem
        guard folder.fileSystem != own else {
            throw IopmemError(
                .usage, "the state \(path) is on the target's own file system",
                because: "what loses promises would lose their record too",
                remedy: "keep it on another disk")
        }
    }

    /// What became of the promises; nil where they were made, not checked.
    var outcome: PromiseOutcome? { contents.withLock { $0.outcome } }

    /// Runs the job: makes promises, or checks them.
    func run(
        _ workload: Workload, on file: OpenFile, environment: VerifyRun.Environment,
        memory: MemoryNode? = nil
    ) throws(IopmemError) -> WorkloadResult {
        if workload.writes {
            try create(workload, on: file.path)
            return try VerifyRun(
                workload, on: file, environment: environment, ledger: self, stamp: stamp,
                memory: memory
            ).run()
        }
        let record = contents.withLock { $0.record }
        let run = try VerifyRun(
            workload, on: file, environment: environment, stamp: stamp, memory: memory)
        let (result, outcome) = try run.checkPromises(record)
        contents.withLock { $0.outcome = outcome }
        return result
    }

    // MARK: The file

    private func create(_ workload: Workload, on target: String) throws(IopmemError) {
        let head = Self.head(workload, target, stamp)
        guard head.utf8.count <= Self.headSize else {
            throw IopmemError(.usage, "--state has no room for so long a --verify-pattern or path")
        }
        let file = try writing { () throws(Errno) in
            let file = try OpenFile(path, [.write, .create])
            try file.resize(to: 0)
            try Self.put(head, of: Self.headSize, at: 0, in: file)
            return file
        }
        contents.withLock { contents in
            contents.file = file
            contents.count = workload.blockCount ?? 0
        }
        try save { $0.number = 1 }
    }

    private static func head(
        _ workload: Workload, _ target: String, _ stamp: (seconds: UInt32, nanoseconds: UInt32)
    ) -> String {
        var lines = [
            title, "; stamp \(stamp.seconds) \(stamp.nanoseconds)",
            "; release \(workload.format.release.rawValue)", "[verify]",
            "filename=\(target.replacing(":", with: "\\:"))",
            "rw=\(workload.pattern.rawValue)", "bs=\(workload.blockSize)",
            "offset=\(workload.offset)", "size=\(workload.size)",
            "ioengine=\(workload.engine.rawValue)", "iodepth=\(workload.depth)",
            "direct=\(workload.direct ? 1 : 0)", "randseed=\(workload.randseed)",
            "verify=\((workload.format.method ?? BlockFormat.defaultMethod).rawValue)",
        ]
        if let interval = workload.format.interval { lines.append("verify_interval=\(interval)") }
        if workload.format.headerOffset > 0 {
            lines.append("verify_offset=\(workload.format.headerOffset)")
        }
        if let pattern = workload.format.pattern { lines.append("verify_pattern=\(pattern.text)") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func stamp(
        in lines: [Substring]
    ) -> (seconds: UInt32, nanoseconds: UInt32)? {
        guard let line = lines.first(where: { $0.hasPrefix("; stamp ") }) else { return nil }
        let numbers = line.split(separator: " ").compactMap { UInt32($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }

    private static func release(in lines: [Substring]) -> FioRelease? {
        lines.first { $0.hasPrefix("; release ") }
            .flatMap { FioRelease(rawValue: String($0.dropFirst("; release ".count))) }
    }

    /// Changes the record and makes it durable.
    private func save(_ change: (inout Record) -> Void) throws(IopmemError) {
        let (record, file) = contents.withLock { contents in
            change(&contents.record)
            return (contents.record, contents.file)
        }
        guard let file else { return }
        let place = Self.headSize + Int(record.number % 2) * Self.lineSize
        try writing { () throws(Errno) in
            try Self.put(record.line, of: Self.lineSize, at: place, in: file)
            try file.sync()
        }
    }

    /// A text that fills its place, with an end of line.
    private static func put(
        _ text: String, of size: Int, at place: Int, in file: OpenFile
    ) throws(Errno) {
        var bytes = [UInt8](text.utf8)
        bytes += [UInt8](
            repeating: UInt8(ascii: size == headSize ? "\n" : " "), count: size - bytes.count)
        bytes[size - 1] = UInt8(ascii: "\n")
        do {
            try bytes.withUnsafeBytes { try file.write($0, at: UInt64(place)) }
        } catch {
            throw error as? Errno ?? .ioError
        }
    }

    private func writing<Result>(
        _ body: () throws(Errno) -> Result
    ) throws(IopmemError) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw IopmemError(
                error, "cannot write the state \(path)", remedy: "keep it on a disk with room")
        }
    }
}

extension VerifyState: Ledger {
    func announce(loop: UInt64, step: UInt64) throws(IopmemError) {
        let count = contents.withLock { $0.count }
        try save { record in
            if record.loop != loop {
                record.loop = loop
                record.promised = 0
            }
            let end = record.promised.addingReportingOverflow(step)
            record.announced = end.overflow ? count : min(end.partialValue, count)
            record.number += 1
        }
    }

    func promise(loop: UInt64, position: UInt64) throws(IopmemError) {
        try save { record in
            record.promised = position
            record.announced = max(record.announced, position)
            record.number += 1
        }
    }
}
