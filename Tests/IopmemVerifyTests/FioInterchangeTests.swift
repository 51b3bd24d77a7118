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

    private func fio(_ arguments: [String]) throws -> Program.Outcome {
        try Program.run(
            Self.fio,
            [
                "--name=v", "--filename=\(scratch.path("file"))", "--verify=crc32c",
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
    func md5() throws {
        let outcome = try Program.run(
            Self.fio,
            [
                "--name=v", "--filename=\(scratch.path("file"))", "--verify=md5", "--rw=write",
                "--bs=4096", "--size=65536", "--do_verify=0", "--verify_state_save=0",
            ])
        try #require(outcome.status == 0, "\(outcome.complaint)")
        #expect {
            try run(Workload(pattern: .read, size: 65_536))
        } throws: {
            ($0 as? IopmemError)?.code == .unsupported
        }
    }
}
