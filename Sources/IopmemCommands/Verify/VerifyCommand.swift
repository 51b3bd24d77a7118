// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem
import IopmemVerify

/// `iopmemctl verify`
public struct Verify: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Verify data as fio does, and prove which way it went.",
        discussion: """
            Writes blocks with fio's verify headers and reads them back, or reads what is there \
            (--verify-only, --rw read); fio can check what it wrote, and it what fio wrote. Option \
            names and meanings are fio's.

            For a file on a file system mounted with -o dax on a namespace it also compares the \
            page frames of a mapping with the BAR and with the file system's own map. With \
            --peer a drive's O_DIRECT data goes into that mapping, and is compared.

            A TARGET that is a namespace or block node loses its contents: it asks, or takes --yes; \
            a recognised file system needs --force as well. A regular file is created if it does \
            not exist and --size is given, and is written over without a question.

            EXAMPLES
              iopmemctl verify /mnt/check --size 256M --peer /dev/nvme0n1
              iopmemctl verify /mnt/check --verify-only
              iopmemctl verify scratch --yes --rw randwrite --bs 64k --runtime 30
            """)

    @Argument(help: "A namespace (name or UUID), a block node, or a file.")
    var target: String

    @Option(
        help: "Workload: \(Workload.Pattern.names). Without it: write, or read with --verify-only.")
    var rw: Workload.Pattern?

    @Option(help: "Bytes of a block, a multiple of 512.")
    var bs: Size = Size(4096)

    @Option(help: "Bytes to test. (default: all of the target)")
    var size: Size?

    @Option(help: "Where to begin, in bytes.")
    var offset: Size = Size(0)

    @Option(help: "How blocks are moved: \(Workload.EngineName.names).")
    var ioengine: Workload.EngineName = .psync

    @Option(help: "How many blocks are moved at once, by io_uring.")
    var iodepth: Int = 1

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
    var verifyOffset: Size = Size(0)

    @Option(
        name: [.customLong("verify-pattern"), .customLong("verify_pattern")],
        help: """
            Fill blocks with this in place of random data: 0xdeadbeef, "text", a number, %o for the \
            block's offset, or several in a row.
            """)
    var verifyPattern: String?

    @Option(
        help: """
            Whose blocks to write: \(FioRelease.names), each with those after it; what is read may be \
            of any. Before 3.39 fio keeps no digest with sha512; this tool compares all of the data.
            """)
    var fioRelease: FioRelease = .v3_3

    @Flag(
        name: [.customLong("verify-only"), .customLong("verify_only")],
        help: "Write nothing; verify what an earlier run, or fio, has written.")
    var verifyOnly = false

    @Option(help: "From which the data and random orders are made.")
    var randseed: UInt64 = Workload.defaultRandseed

    @Option(help: "How often to do it all, each time with other data.")
    var loops: Int = 1

    @Option(
        name: .customLong("peer"),
        help: """
            A drive that reads its own data by O_DIRECT into the target's mapping; repeatable. It \
            is only read.
            """)
    var peers: [String] = []

    @Flag(
        help: """
            Write to each peer as well, from the mapping; what was there is put back afterwards.
            """)
    var peerWrite = false

    @OptionGroup var change: ChangeOptions

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Refuses contradictions.
    public func validate() throws {
        if peerWrite && peers.isEmpty {
            throw ValidationError("--peer-write needs a --peer.")
        }
        if size?.bytes == 0 { throw ValidationError("--size 0 leaves nothing to verify.") }
    }

    /// Plans, asks, runs, shows.
    public func run(in context: Context) throws(IopmemError) {
        let verification = try Verification(target, try request(), on: context.host)
        try verification.checkOverwrite(force: change.force)
        guard !change.dryRun else { return describe(verification, context.console) }
        try confirm(verification, context.console)
        if verification.plan.writes, verify == .sha512, !fioRelease.isSHA512Finished {
            context.console.note(
                "fio before 3.39 has no digest in what it calls sha512; this tool compares the data"
                    + " themselves, and --fio-release 3.39 writes a digest")
        }

        let progress = ProgressLine(isQuiet: context.console.isQuiet)
        let report = try verification.run(
            step: { line in
                progress.clear()
                context.console.step(line)
            },
            progress: { progress.show($0) })
        progress.clear()
        if !peers.isEmpty && !peerWrite {
            context.console.note("BAR to peer was not tested; --peer-write asks for it")
        }
        if let reason = report.placementReason, report.dax == nil {
            context.console.note("nothing is said about page frames: \(reason)")
        }
        try context.console.show(VerifyOutput(verify: report))
        if let error = report.error { throw error }
    }

    private func request() throws(IopmemError) -> Verification.Request {
        var format = BlockFormat(
            method: verify, release: fioRelease,
            interval: verifyInterval.map { Int(clamping: $0.bytes) },
            headerOffset: Int(clamping: verifyOffset.bytes))
        if let verifyPattern { format.pattern = try FillPattern(verifyPattern) }
        let workload = Workload(
            pattern: rw ?? (verifyOnly ? .read : .write), blockSize: Int(clamping: bs.bytes),
            offset: offset.bytes, size: size?.bytes ?? 0, engine: ioengine, depth: iodepth,
            verifyOnly: verifyOnly, randseed: randseed, format: format, loops: loops)
        return Verification.Request(
            workload: workload, direct: direct.map { $0 == .on }, peers: peers,
            peerWrite: peerWrite)
    }

    private func describe(_ verification: Verification, _ console: Console) {
        let plan = verification.plan
        console.note(
            "would \(plan.writes ? "write and verify" : "verify") \(plan.blockCount) blocks of "
                + "\(ByteSize.display(UInt64(plan.blockSize))) on \(verification.path) from offset "
                + "\(plan.offset), \(plan.loops) times")
        for peer in peers {
            console.note("would read \(peer) into it" + (peerWrite ? ", and write to it" : ""))
        }
    }

    private func confirm(
        _ verification: Verification, _ console: Console
    ) throws(IopmemError) {
        guard verification.overwritesDevice, !change.yes else { return }
        let path = verification.path
        let word = path.split(separator: "/").last.map(String.init) ?? path
        let answer = try console.answer(
            to: """
                \(ByteSize.display(verification.plan.size)) of \(path) will be overwritten
                Type \(word) to go on: 
                """)
        guard answer == word else {
            throw IopmemError(.failed, "\(path) was not touched", because: "not confirmed")
        }
    }
}
