// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Testing

@testable import IopmemVerify

/// The real fio reads what we write, and we read what it writes.
@Suite("Interchange with fio")
struct FioInterchangeTests {
    static let fio = "/usr/bin/fio"
    let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        try #require(
            SystemRoot.machine.exists(Self.fio), "fio is needed: apt-get install fio")
    }

    private func fio(_ arguments: [String], verify: String = "crc32c") throws -> Program.Outcome {
        try Program.run(
            Self.fio,
            [
                "--name=v", "--filename=\(scratch.path("file"))", "--verify=\(verify)",
                "--verify_fatal=1", "--verify_state_save=0",
            ] + arguments)
    }

    private func run(_ workload: Workload) throws -> WorkloadResult {
        let file = try OpenFile(scratch.path("file"), [.write, .create])
        return try VerifyRun(workload, on: file).run()
    }

    @Test(
        "what we write passes fio --verify_only",
        arguments: [
            (512, .write, 0), (4096, .randwrite, 8192), (4096, .write, 0), (65_536, .randrw, 8192),
        ] as [(Int, Workload.Pattern, UInt64)])
    func weWrite(blockSize: Int, pattern: Workload.Pattern, offset: UInt64) throws {
        let size = UInt64(blockSize) * 48
        _ = try run(Workload(pattern: pattern, blockSize: blockSize, offset: offset, size: size))
        let command = [
            "--rw=read", "--verify_only", "--bs=\(blockSize)", "--offset=\(offset)",
            "--size=\(size)",
        ]
        let good = try fio(command)
        #expect(good.status == 0, "\(good.complaint)")
        // The same command sees one wrong bit, so its yes means something.
        try scratch.damage("file", at: offset + size - 1) { $0[0] ^= 1 }
        #expect(try fio(command).status != 0)
    }

    @Test(
        "what fio writes passes ours",
        arguments: [("write", 512), ("randwrite", 4096), ("write", 65_536)])
    func fioWrites(rw: String, blockSize: Int) throws {
        let size = UInt64(blockSize) * 48
        let outcome = try fio([
            "--rw=\(rw)", "--bs=\(blockSize)", "--offset=8192", "--size=\(size)", "--do_verify=0",
        ])
        try #require(outcome.status == 0, "\(outcome.complaint)")
        let result = try run(
            Workload(pattern: .read, blockSize: blockSize, offset: 8192, size: size))
        #expect(result.blocksVerified == 48)
        #expect(result.mismatches == [])
    }

    @Test("intervals that fio put into larger writes are blocks of their own")
    func intervals() throws {
        let outcome = try fio([
            "--rw=write", "--bs=4096", "--verify_interval=512", "--size=65536", "--do_verify=0",
        ])
        try #require(outcome.status == 0, "\(outcome.complaint)")
        let result = try run(Workload(pattern: .read, blockSize: 512, size: 65_536))
        #expect(result.blocksVerified == 128)
    }

    @Test("damage to what fio wrote is found, and the payload is known from the seed")
    func fioDamaged() throws {
        let outcome = try fio(["--rw=write", "--bs=4096", "--size=65536", "--do_verify=0"])
        try #require(outcome.status == 0, "\(outcome.complaint)")
        try scratch.damage("file", at: 9000) { $0[0] ^= 4 }
        let result = try run(Workload(pattern: .read, size: 65_536))
        #expect(result.mismatches.map(\.kind) == [.bitflip])
        #expect(result.mismatches.map(\.offset) == [9000])
        #expect(result.mismatches.map(\.length) == [1])
    }

    @Test("a sequential run has fio's own bytes, but for time stamps")
    func sameBytes() throws {
        let outcome = try fio(["--rw=write", "--bs=4096", "--size=65536", "--do_verify=0"])
        try #require(outcome.status == 0, "\(outcome.complaint)")
        var sequence = BlockSequence(Workload(size: 65_536))
        let file = try OpenFile(scratch.path("file"))
        var theirs = [UInt8](repeating: 0, count: 4096)
        while let header = sequence.next() {
            _ = try theirs.withUnsafeMutableBytes { try file.read(into: $0, at: header.offset) }
            let ours = Block(header)
            // Compared outside of #expect, which would describe the bytes.
            let isSame =
                theirs[0..<24] == ours.bytes[0..<24] && theirs[40...] == ours.bytes[40...]
            #expect(isSame, "block at \(header.offset)")
        }
    }

    @Test("another verify type of fio's is named, not called wrong data")
    func unknownType() throws {
        let outcome = try fio(
            ["--rw=write", "--bs=4096", "--size=65536", "--do_verify=0"], verify: "sha3-256")
        try #require(outcome.status == 0, "\(outcome.complaint)")
        #expect {
            try run(Workload(pattern: .read, size: 65_536))
        } throws: {
            ($0 as? IopmemError)?.code == .unsupported
        }
    }

    /// fio's options that say how blocks are made, and the same in ours.
    struct Format: Sendable, CustomTestStringConvertible {
        var verify: VerifyMethod
        var blockSize = 4096
        var interval: Int?
        var headerOffset = 0
        var pattern: String?

        var testDescription: String { options.joined(separator: " ") }

        var options: [String] {
            ["--bs=\(blockSize)"] + (interval.map { ["--verify_interval=\($0)"] } ?? [])
                + (headerOffset > 0 ? ["--verify_offset=\(headerOffset)"] : [])
                + (pattern.map { ["--verify_pattern=\($0)"] } ?? [])
        }

        func workload(_ pattern: Workload.Pattern, size: UInt64) throws -> Workload {
            Workload(
                pattern: pattern, blockSize: blockSize, offset: 8192, size: size,
                format: BlockFormat(
                    method: verify, interval: interval, headerOffset: headerOffset,
                    pattern: try self.pattern.map { try FillPattern($0) }))
        }

        static let all =
            VerifyMethod.allCases.filter { $0 != .pattern }.flatMap { method in
                [
                    Format(verify: method),
                    Format(verify: method, blockSize: 8192, interval: 1024, headerOffset: 520),
                ]
            } + [
                Format(verify: .crc32c, blockSize: 65_536, interval: 512),
                Format(verify: .crc32c, interval: 4096, headerOffset: 44),
                Format(verify: .crc32c, headerOffset: 4052),
                Format(verify: .crc32c, pattern: "0xdeadbeef"),
                Format(verify: .sha512, interval: 512, pattern: "%o"),
                Format(verify: .pattern, pattern: "0xdeadbee"),
                Format(verify: .pattern, pattern: "%o"),
                Format(verify: .pattern, blockSize: 65_536, pattern: #"-100xab"1"%o"2""#),
                Format(verify: .pattern, pattern: "1025"),
            ]
    }

    @Test("what we write in any of fio's formats passes fio --verify_only", arguments: Format.all)
    func weWrite(format: Format) throws {
        let size = UInt64(format.blockSize) * 16
        let result = try run(try format.workload(.randwrite, size: size))
        #expect(result.blocksVerified == size / UInt64(format.interval ?? format.blockSize))
        let command =
            format.options + ["--rw=read", "--verify_only", "--offset=8192", "--size=\(size)"]
        let good = try fio(command, verify: format.verify.rawValue)
        #expect(good.status == 0, "\(good.complaint)")
        try scratch.damage("file", at: 8192 + size - 1) { $0[0] ^= 1 }
        #expect(try fio(command, verify: format.verify.rawValue).status != 0)
    }

    @Test("what fio writes in any of its formats passes ours", arguments: Format.all)
    func fioWrites(format: Format) throws {
        let size = UInt64(format.blockSize) * 16
        let outcome = try fio(
            format.options
                + ["--rw=randwrite", "--offset=8192", "--size=\(size)", "--do_verify=0"],
            verify: format.verify.rawValue)
        try #require(outcome.status == 0, "\(outcome.complaint)")
        let workload = try format.workload(.read, size: size)
        let result = try run(workload)
        let count = size / UInt64(format.interval ?? format.blockSize)
        #expect(result.blocksVerified == count)
        #expect(result.mismatches == [])

        // One wrong bit in the data and one in the header, wherever that is.
        let places = [8192 + size - 1, 8192 + UInt64(format.headerOffset) + 20]
        for place in places { try scratch.damage("file", at: place) { $0[0] ^= 1 } }
        let damaged = try run(workload)
        #expect(damaged.blocksVerified + damaged.blocksBad == count)
        #expect(damaged.blocksBad == 2)
        #expect(damaged.mismatches.map(\.kind) == [.bitflip, .bitflip])
        #expect(Set(damaged.mismatches.map(\.offset)) == Set(places))
    }

    @Test("each header says its method, which needs no option, and a wrong option is refused")
    func methodOfHeader() throws {
        let outcome = try fio(
            ["--rw=write", "--bs=4096", "--size=65536", "--do_verify=0"], verify: "md5")
        try #require(outcome.status == 0, "\(outcome.complaint)")
        #expect(try run(Workload(pattern: .read, size: 65_536)).blocksVerified == 16)
        #expect {
            try run(
                Workload(
                    pattern: .read, size: 65_536, format: BlockFormat(method: .sha256)))
        } throws: {
            ($0 as? IopmemError)?.message.contains("md5, not sha256") == true
        }
        // Written with a header in each KiB, read without: told what to say.
        let intervals = try fio([
            "--rw=write", "--bs=4096", "--verify_interval=1024", "--size=65536", "--do_verify=0",
        ])
        try #require(intervals.status == 0, "\(intervals.complaint)")
        #expect {
            try run(Workload(pattern: .read, size: 65_536))
        } throws: {
            ($0 as? IopmemError)?.remedy?.contains("--verify-interval 1K") == true
        }
    }
}

/// fio and this tool run the same job files.
@Suite("Interchange of job files with fio")
struct FioJobFileTests {
    let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        try #require(
            SystemRoot.machine.exists(FioInterchangeTests.fio),
            "fio is needed: apt-get install fio")
    }

    private func jobFile(_ lines: String, _ more: String = "") throws -> String {
        try scratch.write(
            "job.fio",
            """
            [global]
            directory=\(scratch.folder)
            verify_fatal=1
            verify_state_save=0
            \(lines)
            [first]
            filename=file
            \(more)
            [second]
            stonewall
            numjobs=2
            group_reporting
            \(more)
            """)
        return scratch.path("job.fio")
    }

    private func fio(_ file: String) throws -> Program.Outcome {
        try Program.run(FioInterchangeTests.fio, ["--aux-path=\(scratch.folder)", file])
    }

    private func ours(_ file: String) throws -> VerifyReport {
        let jobs = try JobFile.jobs(ofFile: file)
        return try Verification(Verification.Request(jobs, on: nil), on: LinuxHost())
            .run(step: { _ in }, progress: { _ in })
    }

    private static let workloads = [
        "rw=write\nsize=1m\nbs=4k\nverify=crc32c",
        "rw=randwrite\nsize=1m\nbs=64k\nverify=xxhash\nverify_interval=4k",
        "rw=randwrite\nsize=1m\nbs=8k\nverify=sha256\nverify_interval=1k\nverify_offset=512",
        "rw=write\nsize=1m\nbsrange=4k-64k\nverify=md5",
        "rw=randwrite\nsize=1m\nbssplit=4k/40:32k/:16k/20\nverify=crc64\nloops=2",
        "rw=randwrite\nsize=512k\nbs=2k\nverify=crc32\nnorandommap\nrandseed=99",
        "rw=write\nsize=1m\nbs=8k\nverify=pattern\nverify_pattern=0xdeadbeef\niodepth=4\nioengine=io_uring",
    ]

    @Test("what fio writes by a job file passes ours by the same file", arguments: workloads)
    func fioWrites(workload: String) throws {
        // fio leaves out what it never drew.
        let isWhole = !workload.contains("norandommap")
        let outcome = try fio(try jobFile(workload, "do_verify=1"))
        try #require(outcome.status == 0, "\(outcome.complaint)")
        guard isWhole else { return }
        let report = try ours(try jobFile(workload.replacing("loops=2", with: ""), "verify_only=1"))
        #expect(report.result == .pass, "\(report.failures.map(\.message))")
        #expect(report.jobs.count == 2)
        #expect(report.workload?.bytesVerified == 3 << 20)
    }

    @Test("what ours writes by a job file passes fio by the same file", arguments: workloads)
    func weWrite(workload: String) throws {
        let report = try ours(try jobFile(workload))
        #expect(report.result == .pass, "\(report.failures.map(\.message))")
        guard !workload.contains("norandommap") else { return }
        // fio visits blocks of several lengths in an order of its own, and each has a header in each
        // part of the smallest one.
        var reading = workload.replacing("randwrite", with: "read").replacing(
            "=write", with: "=read"
        )
        .replacing("loops=2", with: "")
        for (sizes, smallest) in [
            ("bsrange=4k-64k", "bs=4k"), ("bssplit=4k/40:32k/:16k/20", "bs=4k"),
        ] {
            reading = reading.replacing(sizes, with: smallest)
        }
        let file = try jobFile(reading, "verify_only=1")
        let outcome = try fio(file)
        #expect(outcome.status == 0, "\(outcome.complaint)")
        for name in ["file", "second.2.0"] where SystemRoot.machine.exists(scratch.path(name)) {
            try scratch.damage(name, at: 300_000) { $0[0] ^= 1 }
        }
        #expect(try fio(file).status != 0)
    }
}
