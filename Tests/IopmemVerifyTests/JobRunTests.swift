// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage
import Testing

@testable import IopmemVerify

/// Several jobs in one run, on files of this machine.
@Suite("A run of several jobs")
struct JobRunTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func plan(_ text: String, on target: String? = nil) throws -> Verification {
        let jobs = try JobFile.jobs(in: text, file: "a.fio") { name in
            name == "DIR" ? scratch.folder : nil
        }
        return try Verification(Verification.Request(jobs, on: target), on: LinuxHost())
    }

    private func run(_ text: String, on target: String? = nil) throws -> VerifyReport {
        try plan(text, on: target).run(step: { _ in }, progress: { _ in })
    }

    private func refusal(_ text: String, on target: String? = nil) -> String? {
        do {
            _ = try plan(text, on: target)
            return nil
        } catch {
            return
                "\((error as? IopmemError)?.message ?? "") \((error as? IopmemError)?.remedy ?? "")"
        }
    }

    @Test("one job writes what the next one, behind a stonewall, verifies")
    func stonewall() throws {
        let report = try run(
            """
            [global]
            filename=${DIR}/file
            bs=8k
            [write]
            rw=randwrite
            size=1m
            verify_offset=64
            [check]
            stonewall
            rw=randread
            verify_offset=64
            ioengine=mmap
            """)
        #expect(report.result == .pass)
        #expect(report.jobs.map(\.name) == ["write", "check"])
        #expect(report.jobs.map(\.result.blocksVerified) == [128, 128])
        #expect(report.jobs.map(\.result.bytesWritten) == [1 << 20, 0])
        #expect(report.paths.count == 1)
    }

    @Test("copies share the range, and each byte of it is written once", arguments: [2, 3, 7])
    func copies(count: Int) throws {
        let file = scratch.path("file")
        let report = try run(
            """
            [copies]
            numjobs=\(count)
            rw=randwrite
            size=1m
            group_reporting=1
            """, on: file)
        #expect(report.result == .pass)
        #expect(report.jobs.count == 1)
        #expect(report.jobs.first?.count == count)
        #expect(report.workload?.bytesWritten == 1 << 20)
        #expect(report.workload?.blocksVerified == 256)
        #expect(report.workload?.write.latency.count == 256)
        // No two copies have written the same data.
        var seeds: Set<UInt64> = []
        let open = try OpenFile(file)
        for block in 0..<256 {
            var bytes = [UInt8](repeating: 0, count: 4096)
            _ = try bytes.withUnsafeMutableBytes {
                try open.read(into: $0, at: UInt64(block) * 4096)
            }
            seeds.insert(try bytes.withUnsafeBytes { try FioHeader($0).seed })
        }
        #expect(seeds.count == 256)
    }

    @Test("jobs without a file have one each, as fio calls them")
    func ownFiles() throws {
        let report = try run(
            "[a]\ndirectory=${DIR}\nnumjobs=2\nsize=64k\n[b]\nrw=write\ndirectory=${DIR}\nsize=32k")
        #expect(report.result == .pass)
        #expect(
            report.paths.map(\.target)
                == ["a.0.0", "a.1.0", "b.0.0"].map { scratch.path($0) })
        #expect(report.jobs.map(\.result.blocksVerified) == [16, 16, 8])
    }

    @Test("copies with an increment have places of their own")
    func increment() throws {
        let report = try run(
            "[a]\nfilename=${DIR}/f\nnumjobs=3\nsize=64k\noffset=4k\noffset_increment=128k")
        #expect(report.result == .pass)
        #expect(report.jobs.map(\.options.offset) == [4096, 135_168, 266_240])
        #expect(try OpenFile(scratch.path("f")).status().size == 266_240 + 65_536)
    }

    @Test("what one job finds wrong fails the run and hides nothing of the others")
    func wrong() throws {
        let text =
            "[a]\nfilename=${DIR}/a\nrw=write\nsize=64k\n[b]\nfilename=${DIR}/b\nrw=write\nsize=64k\n"
        _ = try run(text)
        try scratch.damage("b", at: 5000) { $0[0] ^= 1 }
        let report = try run(text.replacing("rw=write", with: "rw=read"))
        #expect(report.error?.exitStatus == 7)
        #expect(report.jobs.map(\.result.blocksVerified) == [16, 15])
        #expect(report.workload?.blocksBad == 1)
    }

    @Test("what would break its own data is refused, with the section")
    func refusals() throws {
        let both =
            "[a]\nfilename=${DIR}/f\nsize=64k\n[b]\nfilename=${DIR}/f\nrw=randwrite\nsize=64k\n"
        #expect(refusal(both)?.contains("a and b would write to the same bytes") == true)
        #expect(refusal(both.replacing("[b]", with: "[b]\nstonewall")) == nil)
        #expect(refusal("[a]\nsize=64k")?.contains("a.fio:1: job a") == true)
        #expect(
            refusal("[a]\nfilename=${DIR}/f\nsize=8k\nnumjobs=3")?.contains("cannot share") == true)
        #expect(
            refusal("[a]\nfilename=${DIR}/f\nsize=64k", on: scratch.path("g"))?
                .contains("leave out one of them") == true)
        #expect(refusal("[a]\nfilename=${DIR}/f\nrw=read")?.contains("does not exist") == true)
        #expect(
            refusal("[a]\nfilename=${DIR}/f\nnumjobs=2\nsize=64k\noffset_increment=32k")?
                .contains("its copies would write to the same bytes") == true)
        #expect(!SystemRoot.machine.exists(scratch.path("f")))
    }

    @Test("two runs on one file are refused")
    func twoRuns() throws {
        let file = scratch.path("file")
        try scratch.write("file", [UInt8](repeating: 0, count: 65_536))
        let held = try OpenFile(file, .write)
        try held.lock()
        #expect {
            _ = try run("[a]\nrw=write\nsize=64k", on: file)
        } throws: { error in
            (error as? IopmemError)?.code == .busy
        }
    }

    @Test("the page has the verdict, the picture of the way and every wrong place")
    func page() throws {
        let file = scratch.path("fi<le")
        _ = try run("[a]\nrw=write\nsize=1m", on: file)
        try scratch.damage("fi<le", at: 12_345) { $0[0] ^= 1 }
        let report = try run("[a]\nrw=read\niodepth=4\nioengine=io_uring", on: file)
        let page = VerifyPage(report).html
        #expect(page.contains("<h1>FAIL</h1>"))
        #expect(page.contains("fi&lt;le"))
        #expect(!page.contains("fi<le"))
        #expect(page.contains("<td>12345</td>"))
        #expect(page.contains("Latency percentiles"))
        #expect(!page.contains("NaN") && !page.contains("inf\""))
        // Nothing is fetched from anywhere.
        for word in ["http:", "https:", "<script", "<link", "@import", "url("] {
            #expect(!page.replacing("url(#tip)", with: "").contains(word))
        }
    }

    @Test("a page is made whole, or not at all and said beforehand")
    func pageFile() throws {
        let path = scratch.path("page.html")
        try scratch.write("page.html", "old")
        do {
            let file = try ReportFile(path)
            _ = file
        }
        #expect(try OpenFile(path).status().size == 3)
        try ReportFile(path).write("<p>new</p>")
        #expect(try OpenFile(path).status().size == 10)
        #expect(!SystemRoot.machine.exists(path + ".part"))
        #expect(throws: IopmemError.self) { try ReportFile(scratch.path("no/page.html")) }
        #expect(throws: IopmemError.self) { try ReportFile(scratch.folder) }
        #expect {
            try ReportFile("/dev/full")
        } throws: { error in
            (error as? IopmemError)?.code == .usage || (error as? IopmemError)?.code == .failed
        }
    }
}

/// What is remembered across a crash.
@Suite("A run with a state")
struct VerifyStateTests {
    let scratch: Scratch
    let state: String

    init() throws {
        scratch = try Scratch()
        // Another file system than that of the scratch folder, or the state is refused.
        state = "/dev/shm/iopmem-state-\(UInt64.random(in: .min ... .max))"
    }

    private func request(
        _ workload: Workload, _ state: String
    ) -> Verification.Request {
        var request = Verification.Request(workload: workload, on: scratch.path("file"))
        request.state = state
        return request
    }

    private func check() throws -> VerifyReport {
        try Verification(
            request(Workload(pattern: .read, size: 0, verifyOnly: true), state), on: LinuxHost()
        ).run(step: { _ in }, progress: { _ in })
    }

    /// A run that is cut off when so many blocks have been written.
    private func interrupted(_ workload: Workload, after blocks: UInt64) throws {
        var job = JobSpec("verify")
        job.workload = workload
        let ledger = try VerifyState(state, for: [job])
        let file = try OpenFile(scratch.path("file"), [.write, .create])
        try file.allocate(offset: workload.offset, length: workload.size)
        var isOver = false
        let environment = VerifyRun.Environment(
            pendingSignal: { isOver ? 2 : nil },
            progress: { isOver = isOver || $0.done >= blocks * UInt64(workload.blockSize) })
        let result = try ledger.run(ledger.jobs[0].workload, on: file, environment: environment)
        #expect(result.interruption == .signal(2))
    }

    @Test("a run that was not interrupted has kept all of its promises")
    func whole() throws {
        defer { FileName.remove(state) }
        let workload = Workload(pattern: .randwrite, size: 1 << 20, loops: 2)
        let report = try Verification(request(workload, state), on: LinuxHost())
            .run(step: { _ in }, progress: { _ in })
        #expect(report.result == .pass)
        #expect(report.promises == nil)
        let checked = try check()
        #expect(checked.result == .pass)
        #expect(checked.promises?.promised == 256)
        #expect(checked.promises?.kept == 256)
        #expect(checked.promises?.window == 0)
        #expect(checked.promises?.loop == 1)
        #expect(checked.workload?.blocksVerified == 256)
    }

    @Test(
        "what was flushed is there; what was being written is new or as before",
        arguments: [Workload.Pattern.write, .randwrite])
    func cut(pattern: Workload.Pattern) throws {
        defer { FileName.remove(state) }
        var workload = Workload(pattern: pattern, size: 1000 * 4096)
        workload.syncEvery = 100
        try interrupted(workload, after: 320)
        let report = try check()
        #expect(report.result == .pass, "\(report.failures)")
        let promises = try #require(report.promises)
        #expect(promises.loop == 0)
        #expect(promises.promised == 300)
        #expect(promises.kept == 300)
        #expect(promises.window == 100)
        #expect(promises.windowNew == 20)
        #expect(promises.windowOld == 80)
        #expect(promises.windowTorn == 0)
        #expect(promises.unpromised == 600)
    }

    @Test("a second loop promises no less: what it had not come to is the first one's")
    func secondLoop() throws {
        defer { FileName.remove(state) }
        var workload = Workload(pattern: .randwrite, size: 1000 * 4096, loops: 2)
        workload.syncEvery = 64
        // All are written and read in the first.
        try interrupted(workload, after: 2000 + 256)
        let report = try check()
        #expect(report.result == .pass, "\(report.failures)")
        let promises = try #require(report.promises)
        #expect(promises.loop == 1)
        #expect(promises.promised + promises.window == 1000)
        #expect(promises.window > 0)
        #expect(promises.broken == 0)
        #expect(promises.windowTorn == 0)
        #expect(promises.unpromised == 0)
        // Any block, whichever loop wrote it.
        for place in [0, 500, 999] {
            try scratch.damage("file", at: UInt64(place) * 4096 + 3000) { $0[0] ^= 1 }
        }
        let broken = try check()
        #expect(broken.error?.exitStatus == 7)
        #expect((broken.promises?.broken ?? 0) + (broken.promises?.windowTorn ?? 0) == 3)
    }

    @Test("a promise that is broken, and a block that is torn, fail the run")
    func broken() throws {
        defer { FileName.remove(state) }
        var workload = Workload(size: 1000 * 4096)
        workload.syncEvery = 100
        try interrupted(workload, after: 320)
        // A promised block is gone, and half of one that was being written.
        try scratch.damage(
            "file", at: 5 * 4096, { $0 = [UInt8](repeating: 0, count: 4096) }, count: 4096)
        try scratch.damage(
            "file", at: 310 * 4096 + 1024, { $0 = [UInt8](repeating: 7, count: 2048) }, count: 2048)
        let report = try check()
        #expect(report.error?.exitStatus == 7)
        #expect(report.promises?.broken == 1)
        #expect(report.promises?.kept == 299)
        #expect(report.promises?.windowTorn == 1)
        #expect(report.promises?.windowNew == 19)
        let kinds = report.workload?.mismatches.map(\.kind)
        #expect(kinds == [.zeros, .torn])
        // An older state would promise less: the newest record counts.
        let text = try #require(
            String(validating: try OwnedDescriptor(path: state).readToEnd(), as: UTF8.self))
        #expect(text.contains("promised 300"))
    }

    @Test("a record that was being written when the power went is not believed")
    func tornRecord() throws {
        defer { FileName.remove(state) }
        var workload = Workload(size: 1000 * 4096)
        workload.syncEvery = 100
        try interrupted(workload, after: 320)
        let file = try OpenFile(state, .write)
        let before = try check()
        // The newest of the two lines, with one digit another.
        var bytes = [UInt8](repeating: 0, count: 1024)
        _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 4096) }
        let text = String(decoding: bytes, as: UTF8.self)
        let records = text.split(separator: "\n").compactMap { VerifyState.Record($0) }
        #expect(records.count == 2)
        let newest = records[0].number > records[1].number ? 0 : 1
        let place = newest * 512 + 2
        bytes[place] = bytes[place] == UInt8(ascii: "9") ? UInt8(ascii: "8") : UInt8(ascii: "9")
        try bytes.withUnsafeBytes { try file.write($0, at: 4096) }
        let after = try check()
        #expect(after.result == .pass)
        #expect((after.promises?.promised ?? 0) <= (before.promises?.promised ?? 0))
    }

    @Test("what is no state, or would be lost with its target, is refused")
    func refusals() throws {
        defer { FileName.remove(state) }
        func code(_ workload: Workload, _ path: String) -> IopmemError.Code? {
            do throws(IopmemError) {
                _ = try Verification(request(workload, path), on: LinuxHost())
                return nil
            } catch {
                return error.code
            }
        }
        let writing = Workload(size: 65_536)
        let reading = Workload(pattern: .read, size: 0, verifyOnly: true)
        #expect(code(writing, scratch.path("state")) == .usage)
        #expect(code(reading, "/dev/shm/iopmem-no-such-state") == .failed)
        var other = writing
        other.sizes = .range(4096, 8192)
        #expect(code(other, state) == .usage)
        other = Workload(pattern: .randwrite, size: 65_536)
        other.repeats = true
        #expect(code(other, state) == .usage)
        try scratch.write("file", [UInt8](repeating: 0, count: 65_536))
        let file = try OpenFile(state, [.write, .create])
        for text in [
            "", "x", "; iopmemctl verify --state, version 2\n[verify]\n",
            "; iopmemctl verify --state, version 1\n[verify]\nrw=write\n",
        ] {
            try file.resize(to: 0)
            var text = text
            try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0), at: 0) }
            #expect(code(reading, state) == .usage, "\(text)")
        }
    }
}
