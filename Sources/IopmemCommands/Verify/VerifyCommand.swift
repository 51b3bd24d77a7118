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

            --job runs a job file of fio's, sections, [global] and stonewall included; what this \
            tool does not have in it is refused with its line.

            --state keeps a record of what has been flushed, on another disk; after a crash, \
            --state with --verify-only checks that all of that is there, and that what was being \
            written is old or new, not torn.

            A TARGET that is a namespace or block node loses its contents: it asks, or takes --yes; \
            a recognised file system needs --force as well. A regular file is created if it does \
            not exist and --size is given, and is written over without a question.

            EXAMPLES
              iopmemctl verify /mnt/check --size 256M --peer /dev/nvme0n1
              iopmemctl verify /mnt/check --verify-only
              iopmemctl verify scratch --yes --rw randwrite --bs 64k --runtime 30
              iopmemctl verify --job nightly.fio --report nightly.html
              iopmemctl verify /mnt/check --size 1G --state /var/tmp/check.state
              iopmemctl verify /mnt/check --verify-only --state /var/tmp/check.state
            """)

    @Argument(
        help: """
            A namespace (name or UUID), a block node, or a file. With --job, what jobs without a \
            filename run on.
            """, completion: .file())
    var target: String?

    @OptionGroup(title: "Workload") var workload: WorkloadOptions

    @Option(help: "Run a job file of fio's in place of these options.", completion: .file())
    var job: String?

    @Option(
        name: .customLong("peer"),
        help: """
            A drive that reads its own data by O_DIRECT into the target's mapping; repeatable. It \
            is only read.
            """, completion: .file())
    var peers: [String] = []

    @Flag(
        help: """
            Write to each peer as well, from the mapping; what was there is put back afterwards.
            """)
    var peerWrite = false

    @Option(
        help: """
            Keep a record of what has been made durable, at each --fsync (default: 64 blocks); with \
            --verify-only, check it.
            """, completion: .file())
    var state: String?

    @Option(
        help: "Write a page for a browser, with plots, into this file.", completion: .file())
    var report: String?

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
        if target == nil && job == nil {
            throw ValidationError("Missing expected argument '<target>'")
        }
    }

    /// Plans, asks, runs, shows.
    public func run(in context: Context) throws(IopmemError) {
        var request = Verification.Request(try jobs(), on: target)
        request.peers = peers
        request.peerWrite = peerWrite
        request.state = state
        let verification = try Verification(request, on: context.host)
        try verification.checkOverwrite(force: change.force)
        guard !change.dryRun else { return describe(verification, context.console) }
        let page = try report.map { path throws(IopmemError) in try ReportFile(path) }
        try confirm(verification, context.console)
        warn(verification, context.console)

        let progress = ProgressLine(isQuiet: context.console.isQuiet)
        let result = try verification.run(
            step: { line in
                progress.clear()
                context.console.step(line)
            },
            progress: {
                progress.show(
                    $0.phase?.rawValue ?? "write and verify", done: $0.done, fraction: $0.fraction,
                    wrong: $0.blocksBad)
            })
        progress.clear()
        for warning in result.warnings { context.console.note("warning: \(warning)") }
        if !peers.isEmpty && !peerWrite {
            context.console.note("BAR to peer was not tested; --peer-write asks for it")
        }
        for path in result.paths where path.dax == nil {
            guard let reason = path.placementReason else { continue }
            context.console.note("nothing is said about page frames: \(reason)")
        }
        try context.console.show(VerifyOutput(verify: result))
        // A page that cannot be written does not hide what was found.
        var unwritten: IopmemError?
        do throws(IopmemError) {
            try page?.write(VerifyPage(result).html)
        } catch {
            unwritten = error
        }
        if let error = result.error {
            if let unwritten { context.console.note(unwritten.message) }
            throw error
        }
        if let unwritten { throw unwritten }
    }

    private func jobs() throws(IopmemError) -> [JobSpec] {
        if let job {
            try workload.refuse(beside: job)
            return try JobFile.jobs(ofFile: job)
        }
        if let target, target.hasSuffix(".fio") {
            throw IopmemError(
                .usage, "\(target) is named like a job file, and as a target it is written over",
                remedy: "to run it: --job \(target); data have another name")
        }
        if let state, workload.verifyOnly {
            try workload.refuse(beside: state, allowing: ["--verify-only"])
        }
        return [try workload.job()]
    }

    private func warn(_ verification: Verification, _ console: Console) {
        if verification.writesUnfinishedDigest {
            console.note(
                "fio before 3.39 has no digest in what it calls sha512; this tool compares the data"
                    + " themselves, and --fio-release 3.39 writes a digest")
        }
        if verification.sharesRange {
            console.note("each of several jobs has its own part of the range")
        }
    }

    private func describe(_ verification: Verification, _ console: Console) {
        for line in verification.description { console.note("would \(line)") }
        for peer in peers {
            console.note("would read \(peer) into it" + (peerWrite ? ", and write to it" : ""))
        }
    }

    private func confirm(
        _ verification: Verification, _ console: Console
    ) throws(IopmemError) {
        guard !change.yes else { return }
        for (path, bytes, risk) in verification.overwritten {
            let word = path.split(separator: "/").last.map(String.init) ?? path
            let facts = ["\(ByteSize.display(bytes)) of \(path) will be overwritten"] + risk.lines
            let answer = try console.answer(
                to: """
                    \(facts.joined(separator: "\n"))
                    Type \(word) to go on: 
                    """)
            guard answer == word else {
                throw IopmemError(.failed, "\(path) was not touched", because: "not confirmed")
            }
        }
    }
}
