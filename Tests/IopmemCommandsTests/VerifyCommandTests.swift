// SPDX-License-Identifier: GPL-2.0
import FoundationEssentials
import Support
import Testing

/// `verify` by its command line, on files of this machine.
@Suite("iopmemctl verify")
struct VerifyCommandTests {
    private let folder: TemporaryDirectory
    private let file: String

    init() throws {
        folder = try TemporaryDirectory()
        file = "\(folder.path)/data"
    }

    private var fileExists: Bool { (try? Data(contentsOf: URL(filePath: file))) != nil }

    @Test(
        "what is not there, or makes no sense, is wrong usage and never ignored",
        arguments: [
            "--iodepth 4", "--numjobs 0", "--numjobs 1000", "--numjobs 17", "--runtime 0",
            "--runtime 5y", "--time-based", "--ramp-time x", "--job a.fio", "--rate 0",
            "--rate x", "--rate-iops ,0", "--bsrange 4k", "--bsrange 4k-6k", "--bssplit 4k/10",
            "--bs 4k --bsrange 4k-8k", "--norandommap", "--verify-backlog 0",
            "--verify-backlog-batch 5", "--fsync 0",
            "--state /dev/shm/iopmem-x --numjobs 2", "--state /dev/shm/iopmem-x --bsrange 4k-8k",
            "--iodepth 0", "--ioengine io_uring --iodepth 2000",
            "--ioengine io_uring --iodepth 100 --bs 16M", "--ioengine libaio", "--verify sha3-256",
            "--verify pattern",
            "--verify-interval 100",
            "--verify-offset 8", "--verify-pattern abc", "--fio-release 3.40", "--rw trim",
            "--bs 0",
            "--bs 100", "--bs 4k5", "--bs 1G", "--direct 2", "--loops 0", "--size 0",
            "--size 10000", "--offset 7", "--randseed x", "--peer-write",
            "--ioengine mmap --direct 1",
            "-v -q",
        ])
    func usage(options: String) throws {
        let session = try Session(.twoCards)
        let size = options.contains("--size") ? "" : "--size 64K"
        session.run("verify \(file) \(size) \(options)")
        #expect(session.status == 64, "\(session.talk)")
        #expect(session.output.isEmpty)
        #expect(!session.talk.isEmpty)
        #expect(!fileExists)
    }

    @Test("a job file that is given as the target is not written over")
    func jobAsTarget() throws {
        let job = "\(folder.path)/nightly.fio"
        let text = "[a]\nrw=write\n" + String(repeating: "#\n", count: 40_000)
        try Data(text.utf8).write(to: URL(filePath: job))
        let session = try Session(.twoCards)
        for options in ["", "--size 64K", "--verify-only", "--dry-run"] {
            session.run("verify \(job) \(options)")
            #expect(session.status == 64)
            #expect(session.talk.contains("--job \(job)"), "\(session.talk)")
        }
        #expect(try Data(contentsOf: URL(filePath: job)) == Data(text.utf8))
    }

    @Test("the engines that there are stand in the refusal of another one")
    func engines() throws {
        let session = try Session(.twoCards)
        session.run("verify \(file) --size 64K --ioengine libaio")
        #expect(session.talk.contains("'psync', 'mmap' or 'io_uring'"))
    }

    @Test("a run that passes is exit 0 and the contract's JSON")
    func json() throws {
        let session = try Session(.twoCards)
        session.run("verify \(file) --size 64K --rw randwrite --bs 8k -o json")
        #expect(session.status == 0, "\(session.talk)")
        let data = Data(session.output.utf8)
        let document = try JSONDecoder().decode(Document.self, from: data)
        #expect(document.schema == 1)
        #expect(document.verify.result == "pass")
        #expect(document.verify.target == file)
        #expect(document.verify.bytes_written == 65_536)
        #expect(document.verify.bytes_verified == 65_536)
        #expect(document.verify.blocks_verified == 8)
        #expect(document.verify.mismatches.isEmpty)
        #expect(document.verify.placement == nil)
        #expect(document.verify.p2p.isEmpty)
        #expect(document.verify.jobs.map(\.write.io_bytes) == [65_536])
        #expect(session.talk.contains("nothing is said about page frames"))
    }

    @Test("wrong data is exit 7, with the report on stdout and the reason on stderr")
    func wrongData() throws {
        let session = try Session(.twoCards)
        session.run("verify \(file) --size 64K")
        try #require(session.status == 0, "\(session.talk)")
        var bytes = try Data(contentsOf: URL(filePath: file))
        bytes[20_000] ^= 0x40
        try bytes.write(to: URL(filePath: file))

        session.run("verify \(file) --verify-only -o json")
        #expect(session.status == 7)
        let document = try JSONDecoder().decode(Document.self, from: Data(session.output.utf8))
        #expect(document.verify.result == "fail")
        #expect(document.verify.mismatches.map(\.offset) == [20_000])
        #expect(document.verify.mismatches.map(\.kind) == ["bitflip"])
        #expect(session.talk.contains(#""code" : "verification""#))

        session.run("verify \(file) --verify-only -q")
        #expect(session.status == 7)
        #expect(session.output.contains("FAIL"))
        #expect(session.output.contains("15 blocks (60 KiB) right, 1 wrong"))
        #expect(session.output.contains("bitflip"))
        #expect(session.talk.contains("1 of 16 blocks are wrong"))
    }

    @Test("a target that is not there is exit 3, a peer without pages of a BAR exit 6")
    func refusals() throws {
        let session = try Session(.twoCards)
        #expect(session.run("verify nothing --size 1M").status == 3)
        #expect(session.run("verify \(file) --verify-only").status == 3)
        #expect(session.run("verify \(file) --size 1M --peer /dev/null").status == 6)
        #expect(!fileExists)
    }

    /// Memory that programs map, as sysfs has it; it is really /dev/null, which nobody can map.
    @Test("a device that loses its contents is asked about, also with --force, and shown")
    func confirmation() throws {
        let session = try Session(.twoCards)
        for (attribute, value) in [("size", "67108864"), ("align", "4096")] {
            try session.host.tree.write(value, to: "/sys/dev/char/1:3/\(attribute)")
        }
        let line = "verify /dev/null --ioengine mmap --size 64K"
        for options in ["", " --force"] {
            session.answer = nil
            #expect(session.run(line + options).status == 1)
            #expect(session.talk.contains("no terminal"), "\(session.talk)")
            session.answer = "yes"
            #expect(session.run(line + options).status == 1)
            #expect(session.talk.contains("/dev/null was not touched"), "\(session.talk)")
            let question = "64 KiB of /dev/null will be overwritten\nType null to go on: "
            #expect(session.questions == [question])
        }
        // Nothing to be asked about: what is only read, planned, or agreed to beforehand.
        for options in [" --rw read", " --dry-run", " --yes"] {
            session.run(line + options)
            #expect(session.questions.isEmpty, "\(options)")
        }
    }

    @Test("--dry-run says what would be done and makes no file")
    func dryRun() throws {
        let session = try Session(.twoCards)
        session.run("verify \(file) --size 1M --dry-run")
        #expect(session.status == 0)
        #expect(session.talk.contains("would write and verify 1 MiB of"))
        #expect(!fileExists)
    }
}

private struct Document: Decodable {
    struct Verify: Decodable {
        let result: String
        let target: String
        let bytes_written: UInt64
        let bytes_verified: UInt64
        let blocks_verified: UInt64
        let mismatches: [Mismatch]
        let placement: Placement?
        let p2p: [Peer]
        let jobs: [Job]
    }
    struct Mismatch: Decodable {
        let offset: UInt64
        let length: UInt64
        let kind: String
        let expected: String
        let got: String
    }
    struct Placement: Decodable {
        let pages_checked: UInt64
        let pages_in_bar: UInt64
    }
    struct Peer: Decodable {
        let peer: String
        let direction: String
        let bytes: UInt64
        let result: String
        let evidence: String
    }
    struct Job: Decodable {
        struct Direction: Decodable {
            let io_bytes: UInt64
        }
        let write: Direction
    }
    let schema: Int
    let verify: Verify
}
