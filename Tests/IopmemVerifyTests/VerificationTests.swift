// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage
import Testing

@testable import IopmemVerify

/// The whole of `verify` on files of this machine, which are on no namespace.
@Suite("A verification")
struct VerificationTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func plan(
        _ name: String, _ workload: Workload, direct: Bool? = nil, peers: [String] = []
    ) throws -> Verification {
        try Verification(
            Verification.Request(workload: workload, direct: direct, on: name, peers: peers),
            on: LinuxHost())
    }

    private func run(_ name: String, _ workload: Workload) throws -> VerifyReport {
        try plan(name, workload).run(step: { _ in }, progress: { _ in })
    }

    private func code(_ body: () throws -> Void) -> IopmemError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? IopmemError)?.code
        }
    }

    @Test("a new file is made, written and verified, and verified again without writing")
    func newFile() throws {
        let path = scratch.path("new")
        let written = try run(path, Workload(size: 65_536))
        #expect(written.result == .pass)
        #expect(written.error == nil)
        #expect(written.workload?.blocksVerified == 16)
        #expect(written.dax == nil)
        #expect(written.placement == nil)
        #expect(written.placementReason == "\(path) is not on an iopmem namespace")
        let again = try run(path, Workload(size: 0, verifyOnly: true))
        #expect(again.result == .pass)
        #expect(again.workload?.write.bytes == 0)
        #expect(again.workload?.blocksVerified == 16)
    }

    @Test("wrong data ends with the status for it, and the report has the place")
    func wrongData() throws {
        let path = scratch.path("file")
        _ = try run(path, Workload(size: 65_536))
        try scratch.damage("file", at: 30_000) { $0[0] ^= 1 }
        let report = try run(path, Workload(pattern: .randread, size: 0))
        #expect(report.result == .fail)
        #expect(report.error?.exitStatus == 7)
        #expect(report.workload?.mismatches.map(\.offset) == [30_000])
    }

    @Test("what cannot work is refused before anything is touched")
    func refusals() throws {
        try scratch.write("file", [UInt8](repeating: 3, count: 16_384))
        let file = scratch.path("file")
        let missing = scratch.path("missing")
        let some = Workload(size: 8192)
        let reading = Workload(pattern: .read, size: 0)
        #expect(code { _ = try plan(missing, reading) } == .notFound)
        #expect(code { _ = try plan(missing, Workload(size: 0)) } == .usage)
        #expect(code { _ = try plan(scratch.path("no/file"), some) } == .notFound)
        #expect(code { _ = try plan("no-such-namespace", some) } == .notFound)
        #expect(code { _ = try plan(scratch.folder, some) } == .usage)
        #expect(code { _ = try plan("/dev/null", some) } == .unsupported)
        #expect(code { _ = try plan(file, some, peers: ["/dev/null"]) } == .unsupported)
        #expect(code { _ = try plan(file, Workload(size: 5000)) } == .usage)
        var behind = reading
        behind.offset = 16_384
        #expect(code { _ = try plan(file, behind) } == .usage)
        #expect(code { _ = try plan(file, Workload(pattern: .read, size: 32_768)) } == .usage)
        var mapped = some
        mapped.engine = .mmap
        #expect(code { _ = try plan(file, mapped, direct: true) } == .usage)
        #expect(!SystemRoot.machine.exists(missing))
        let bytes = try SystemRoot.machine.bytes(file)
        let isUntouched = bytes == [UInt8](repeating: 3, count: 16_384)
        #expect(isUntouched)
    }

    @Test("a file that is not made of blocks of this size is a usage error with the size")
    func ragged() throws {
        try scratch.write("file", [UInt8](repeating: 0, count: 10_000))
        #expect {
            try plan(scratch.path("file"), Workload(pattern: .read, size: 0))
        } throws: {
            ($0 as? IopmemError)?.remedy == "use --size 8K or --size 12K"
        }
    }

    @Test("an empty file has nothing to verify, which is never a pass")
    func empty() throws {
        try scratch.write("file", "")
        #expect(
            code { _ = try plan(scratch.path("file"), Workload(pattern: .read, size: 0)) }
                == .usage)
    }

    @Test("a second run on the same file is refused while the first one has it")
    func twoRuns() throws {
        let path = scratch.path("file")
        let holder = try OpenFile(path, [.write, .create])
        try holder.lock()
        #expect(code { _ = try run(path, Workload(size: 65_536)) } == .busy)
    }

    @Test("a new file that gets no room is not left behind")
    func noRoom() throws {
        let path = scratch.path("huge")
        #expect(code { _ = try run(path, Workload(size: 1 << 60)) } == .failed)
        #expect(!SystemRoot.machine.exists(path))
    }
}

@Suite("A report")
struct VerifyReportTests {
    private func report(_ failures: [IopmemError.Code]) -> VerifyReport {
        var report = VerifyReport(target: "t", paths: [])
        report.failures = failures.map { IopmemError($0, "x") }
        return report
    }

    @Test("wrong data outranks every other failure, an interruption all but that")
    func precedence() {
        #expect(report([]).error == nil)
        #expect(report([]).result == .pass)
        #expect(report([.failed, .unsupported]).error?.code == .failed)
        #expect(report([.failed, .interrupted]).error?.code == .interrupted)
        #expect(report([.interrupted, .failed, .verification]).error?.exitStatus == 7)
        #expect(report([.unsupported]).result == .fail)
    }

    @Test("a refused transfer says what the kernel means")
    func refusals() {
        #expect(PeerTransfer.refusal(.badAddress).exitStatus == 6)
        #expect(PeerTransfer.refusal(.notSupportedOnSocket).exitStatus == 6)
        #expect(PeerTransfer.refusal(.invalidArgument).exitStatus == 6)
        #expect(PeerTransfer.refusal(.ioError).exitStatus == 1)
    }
}
