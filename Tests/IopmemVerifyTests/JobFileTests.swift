// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

@testable import IopmemVerify

/// fio's job files.
@Suite("A job file")
struct JobFileTests {
    private func jobs(_ text: String) throws -> [JobSpec] {
        try JobFile.jobs(in: text, file: "a.fio") { $0 == "SIZE" ? "8m" : nil }
    }

    private func complaint(_ text: String) -> String? {
        do {
            _ = try jobs(text)
            return nil
        } catch {
            return (error as? IopmemError)?.message
        }
    }

    @Test("sections, what is common to them, and every option")
    func options() throws {
        let jobs = try jobs(
            """
            ; a comment
            # another one
            [global]
            bs=4k
            size = ${SIZE}
            verify=sha256
            ioengine=io_uring
            iodepth=16
            direct=1
            group_reporting

            [first one]
            rw=randwrite
            filename=/mnt/a
            randseed=5
            norandommap
            runtime=2m
            time_based
            ramp_time=500ms
            rate=1m,2m
            rate_iops=,300
            verify_backlog=100
            verify_backlog_batch=10
            verify_fatal=1
            fsync=8
            thread
            [global]
            bssplit=4k/10:64k/:8k/50
            [second]
            stonewall
            new_group=1
            readwrite=rw
            filename=b\\:c
            directory=/mnt
            offset=1m
            offset_increment=64m
            numjobs=3
            loops=2
            verify_interval=4096
            verify_offset=128
            verify_pattern=0xdeadbeef
            verify_only
            buffered=1
            size=50%
            """)
        #expect(jobs.map(\.name) == ["first one", "second"])
        let first = jobs[0]
        #expect(first.place == "a.fio:12")
        #expect(first.filename == "/mnt/a")
        #expect(first.isGrouped)
        #expect(!first.waits)
        #expect(first.direct == true)
        #expect(first.workload.pattern == .randwrite)
        #expect(first.workload.sizes == .fixed(4096))
        #expect(first.workload.size == 8 << 20)
        #expect(first.workload.format.method == .sha256)
        #expect(first.workload.engine == .ioUring)
        #expect(first.workload.depth == 16)
        #expect(first.workload.randseed == 5)
        #expect(first.workload.repeats)
        #expect(first.workload.pace.runtime == .seconds(120))
        #expect(first.workload.pace.isTimeBased)
        #expect(first.workload.pace.ramp == .milliseconds(500))
        #expect(first.workload.pace.rate == Pace.Limit(read: 1 << 20, write: 2 << 20))
        #expect(first.workload.pace.rateIOPS == Pace.Limit(write: 300))
        #expect(first.workload.backlog == 100)
        #expect(first.workload.backlogBatch == 10)
        #expect(first.workload.stopsAtFirst)
        #expect(first.workload.syncEvery == 8)
        let second = jobs[1]
        #expect(second.waits)
        #expect(second.beginsGroup)
        #expect(second.workload.pattern == .readwrite)
        #expect(
            second.workload.sizes
                == .split([
                    .init(size: 4096, percent: 10), .init(size: 65_536, percent: 40),
                    .init(size: 8192, percent: 50),
                ]))
        #expect(second.filename == "b:c")
        #expect(second.directory == "/mnt")
        #expect(second.offsetIncrement == 64 << 20)
        #expect(second.copies == 3)
        #expect(second.workload.loops == 2)
        #expect(second.workload.verifyOnly)
        #expect(second.workload.format.interval == 4096)
        #expect(second.workload.format.headerOffset == 128)
        #expect(second.workload.format.pattern?.text == "0xdeadbeef")
        #expect(second.direct == false)
        #expect(second.sizePercent == 50)
    }

    @Test(
        "what this tool does not have is refused with its line and the nearest name",
        arguments: [
            ("[a]\nrw=write\nthinktime=5", "a.fio:3: thinktime", "nearest"),
            ("[a]\niodepht=5", "a.fio:2: iodepht", "the nearest one is iodepth"),
            ("[a]\nverify=crc32cc", "a.fio:2: crc32cc is not among", "crc32c?"),
            ("[a]\nioengine=libaio", "a.fio:2: libaio is not among", "io_uring"),
            ("[a]\nrw=trim", "a.fio:2: trim", "write"),
            ("[a]\nbs=4KiB", "a.fio:2: 4KiB", "fio takes Ki for 1000"),
            ("[a]\nbs=", "a.fio:2", "no number"),
            ("[a]\nbs=99999999999999999999", "a.fio:2", "no number"),
            ("[a]\nsize=20000000t", "a.fio:2", "more than 64 bits"),
            ("[a]\nbs=4k,8k", "a.fio:2", "read as they were written"),
            ("[a]\nbssplit=4k/60:8k/60", "a.fio:2", "make 120"),
            ("[a]\nnumjobs=0", "a.fio:2", "between 1 and 256"),
            ("[a]\ndo_verify=0", "a.fio:2: do_verify=0", "never a pass"),
            ("[a]\nfilename=/a:/b", "a.fio:2", "one file"),
            ("[a]\nsize=${NOTHING}", "a.fio:2: NOTHING is not set", "environment"),
            ("[a]\ndirect=yes", "a.fio:2", "neither 0 nor 1"),
            ("[a]\nruntime=5y", "a.fio:2", "no length of time"),
            ("rw=write", "a.fio:1: rw stands before any section", ""),
            ("[a\nrw=write", "a.fio:1", "no section"),
            ("", "it has no job", "[verify]"),
            ("[global]\nbs=4k", "it has no job", ""),
        ])
    func refusals(text: String, place: String, words: String) {
        let message = complaint(text)
        #expect(message?.contains(place) == true, "\(message ?? "taken")")
        #expect(message?.contains(words) == true || words.isEmpty, "\(message ?? "taken")")
    }

    @Test("all mistakes are told at once")
    func several() {
        let message = complaint("[a]\nbs=x\nrw=y\n[b]\nfoo=1")
        #expect(message?.split(separator: "\n").count == 3)
    }

    @Test("the section of a bad workload is named")
    func badJob() throws {
        let request = Verification.Request(
            try jobs("[a]\nbs=4k\nsize=5000\nfilename=/dev/shm/iopmem-none"), on: nil)
        #expect {
            _ = try Verification(request, on: LinuxHost())
        } throws: { error in
            (error as? IopmemError)?.message.contains("a.fio:1: job a: ") == true
        }
    }
}
