// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem
import IopmemVerify

/// fio's options. Each is nil where it was not given, so that what contradicts a job file is seen.
struct WorkloadOptions: ParsableArguments {
    @Option(
        help: "Workload: \(Workload.Pattern.names). Without it: write, or read with --verify-only.")
    var rw: Workload.Pattern?

    @Option(help: "Bytes of a block, a multiple of 512. (default: 4k)")
    var bs: Size?

    @Option(help: "Blocks of any multiple of the first up to the second: 4k-64k.")
    var bsrange: String?

    @Option(help: "Blocks of several sizes, each with its share in percent: 4k/60:64k/40.")
    var bssplit: String?

    @Option(help: "Bytes to test. (default: all of the target)")
    var size: Size?

    @Option(help: "Where to begin, in bytes. (default: 0)")
    var offset: Size?

    @Option(help: "How blocks are moved: \(Workload.EngineName.names). (default: psync)")
    var ioengine: Workload.EngineName?

    @Option(help: "How many blocks are moved at once, by io_uring. (default: 1)")
    var iodepth: Int?

    @Option(
        help: """
            How many jobs run at once, each in a thread and on its own part of the range. (default: 1)
            """)
    var numjobs: Int?

    @Option(
        help: """
            1: past the page cache (O_DIRECT), 0: through it. \
            (default: 1 for block nodes, where the cache would answer for the device; 0 for files)
            """)
    var direct: Switch?

    @Option(
        help: """
            What stands behind each header: \(VerifyMethod.names); pattern: no header, only \
            --verify-pattern. (default: crc32c; where nothing is written, what each header says)
            """)
    var verify: VerifyMethod?

    @Option(
        name: [.customLong("verify-interval"), .customLong("verify_interval")],
        help: "A header in each so many bytes of a block, a multiple of 512. (default: --bs)")
    var verifyInterval: Size?

    @Option(
        name: [.customLong("verify-offset"), .customLong("verify_offset")],
        help: "Where in its block the header is, in bytes.")
    var verifyOffset: Size?

    @Option(
        name: [.customLong("verify-pattern"), .customLong("verify_pattern")],
        help: """
            Fill blocks with this in place of random data: 0xdeadbeef, "text", a number, %o for the \
            block's offset, or several in a row.
            """)
    var verifyPattern: String?

    @Option(
        name: [.customLong("verify-backlog"), .customLong("verify_backlog")],
        help: "Verify each so many blocks as soon as they are written, besides all in the end.")
    var verifyBacklog: UInt64?

    @Option(
        name: [.customLong("verify-backlog-batch"), .customLong("verify_backlog_batch")],
        help: "How many of them to verify at a time. (default: all)")
    var verifyBacklogBatch: UInt64?

    @Flag(
        name: [.customLong("verify-fatal"), .customLong("verify_fatal")],
        help: "Stop at the first wrong block.")
    var verifyFatal = false

    @Option(
        help: """
            Whose blocks to write: \(FioRelease.names), each with those after it; what is read may be \
            of any. Before 3.39 fio keeps no digest with sha512; this tool compares all of the data. \
            (default: 3.3)
            """)
    var fioRelease: FioRelease?

    @Flag(
        name: [.customLong("verify-only"), .customLong("verify_only")],
        help: "Write nothing; verify what an earlier run, or fio, has written.")
    var verifyOnly = false

    @Option(help: "From which the data and random orders are made. (default: 137)")
    var randseed: UInt64?

    @Flag(help: "Draw random blocks without remembering which have been.")
    var norandommap = false

    @Option(help: "How often to do it all, each time with other data. (default: 1)")
    var loops: Int?

    @Option(
        help: """
            Begin no block after so long: seconds, or 500ms, 2m, 1h. What has been written is \
            verified all the same.
            """)
    var runtime: Interval?

    @Flag(
        name: [.customLong("time-based"), .customLong("time_based")],
        help: "Go on with other data until --runtime is over.")
    var timeBased = false

    @Option(
        name: [.customLong("ramp-time"), .customLong("ramp_time")],
        help: "Measure nothing before so long.")
    var rampTime: Interval?

    @Option(help: "Bytes per second at most: both ways, or READ,WRITE.")
    var rate: String?

    @Option(
        name: [.customLong("rate-iops"), .customLong("rate_iops")],
        help: "Blocks per second at most: both ways, or READ,WRITE.")
    var rateIOPS: String?

    @Option(help: "Make what is written durable after each so many blocks.")
    var fsync: UInt64?

    /// Those that were given, as on the command line.
    private var given: [String] {
        let options: [(String, Bool)] = [
            ("--rw", rw != nil), ("--bs", bs != nil), ("--bsrange", bsrange != nil),
            ("--bssplit", bssplit != nil), ("--size", size != nil), ("--offset", offset != nil),
            ("--ioengine", ioengine != nil), ("--iodepth", iodepth != nil),
            ("--numjobs", numjobs != nil), ("--direct", direct != nil),
            ("--verify", verify != nil), ("--verify-interval", verifyInterval != nil),
            ("--verify-offset", verifyOffset != nil), ("--verify-pattern", verifyPattern != nil),
            ("--verify-backlog", verifyBacklog != nil),
            ("--verify-backlog-batch", verifyBacklogBatch != nil),
            ("--verify-fatal", verifyFatal), ("--fio-release", fioRelease != nil),
            ("--verify-only", verifyOnly), ("--randseed", randseed != nil),
            ("--norandommap", norandommap), ("--loops", loops != nil),
            ("--runtime", runtime != nil), ("--time-based", timeBased),
            ("--ramp-time", rampTime != nil), ("--rate", rate != nil),
            ("--rate-iops", rateIOPS != nil), ("--fsync", fsync != nil),
        ]
        return options.filter(\.1).map(\.0)
    }

    func validate() throws {
        if size?.bytes == 0 { throw ValidationError("--size 0 leaves nothing to verify.") }
        if let numjobs, !(1...256).contains(numjobs) {
            throw ValidationError("--numjobs \(numjobs) is not between 1 and 256.")
        }
        if [bs != nil, bsrange != nil, bssplit != nil].filter(\.self).count > 1 {
            throw ValidationError("--bs, --bsrange and --bssplit exclude each other.")
        }
    }

    /// Refuses what a job file says already, but for `--verify-only`, with which it is run again.
    func refuse(beside file: String, allowing allowed: Set<String> = []) throws(IopmemError) {
        let extra = given.filter { !allowed.contains($0) }
        guard extra.isEmpty else {
            throw IopmemError(
                .usage, "\(extra.joined(separator: ", ")): the workload is what \(file) says",
                remedy: "leave it out, or change \(file)")
        }
    }

    /// The job that they describe.
    func job() throws(IopmemError) -> JobSpec {
        var job = JobSpec("verify")
        job.copies = numjobs ?? 1
        job.isGrouped = true
        job.direct = direct.map { $0 == .on }
        job.workload.pattern = rw ?? (verifyOnly ? .read : .write)
        if let bs { job.workload.sizes = .fixed(Int(clamping: bs.bytes)) }
        if let bsrange { try job.set("bsrange", bsrange) }
        if let bssplit { try job.set("bssplit", bssplit) }
        job.workload.size = size?.bytes ?? 0
        job.workload.offset = offset?.bytes ?? 0
        job.workload.engine = ioengine ?? .psync
        job.workload.depth = iodepth ?? 1
        job.workload.verifyOnly = verifyOnly
        job.workload.randseed = randseed ?? Workload.defaultRandseed
        job.workload.repeats = norandommap
        job.workload.format = BlockFormat(
            method: verify, release: fioRelease ?? .v3_3,
            interval: verifyInterval.map { Int(clamping: $0.bytes) },
            headerOffset: Int(clamping: verifyOffset?.bytes ?? 0))
        if let verifyPattern { job.workload.format.pattern = try FillPattern(verifyPattern) }
        job.workload.backlog = verifyBacklog
        job.workload.backlogBatch = verifyBacklogBatch
        job.workload.stopsAtFirst = verifyFatal
        job.workload.syncEvery = fsync
        job.workload.pace.loops = loops ?? 1
        job.workload.pace.runtime = runtime?.duration
        job.workload.pace.isTimeBased = timeBased
        job.workload.pace.ramp = rampTime?.duration ?? .zero
        if let rate { try job.set("rate", rate) }
        if let rateIOPS { try job.set("rate_iops", rateIOPS) }
        return job
    }
}

/// A length of time as fio has it.
struct Interval: ExpressibleByArgument {
    let duration: Duration

    init?(argument: String) {
        guard let duration = FioValue.duration(argument: argument) else { return nil }
        self.duration = duration
    }
}
