// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// What `verify` does with jobs of fio's, with a state across a kill, and where things are in its way.
///
///     root complex ─── card0   128 MiB   with a file system mounted for DAX
@Suite("Jobs of verify")
struct VerifyJobTests {
    private static let jobs = """
        [global]
        filename=/run/card/data
        size=16m
        verify=xxhash
        [fill]
        rw=randwrite
        bsrange=4k-64k
        ioengine=mmap
        numjobs=2
        group_reporting
        [check]
        stonewall
        rw=randread
        bs=4k
        ioengine=io_uring
        iodepth=8
        """

    @Test(
        "fio's job files run, a state tells what a killed run had promised, and trouble is told",
        arguments: Kernel.supported)
    func jobs(on kernel: Kernel) async throws {
        try await scenario(Topology(.card("card0", megabytes: 128)), on: kernel) { machine in
            let namespace = try await machine.create(on: "card0", "--size max")
            let guest = machine.guest
            try await guest.run(FileSystem.ext4.mount(namespace.path, at: "/run/card"))

            try await machine.step("a job file, on a file of the card, with a page") {
                let verdict: Verified = try await guest.run(
                    """
                    cat >/run/jobs.fio <<'END'
                    \(Self.jobs)
                    END
                    iopmemctl verify --job /run/jobs.fio --report /run/page.html -o json
                    """
                ).json()
                #expect(verdict.verify.result == "pass")
                #expect(verdict.verify.bytes_verified == 32 << 20)
                let placement = try #require(verdict.verify.placement)
                #expect(placement.pages_in_bar == 4096)
                #expect(placement.pages_checked == 4096)
                let page = try await guest.run("cat /run/page.html").output
                #expect(page.contains("4096 of 4096 pages are in the BAR"))
                #expect(page.contains("<h1>PASS</h1>"))
            }
            try await machine.step("fio reads what the jobs wrote") {
                try await guest.run(
                    """
                    cd /run && fio --name=v --filename=/run/card/data --rw=read --bs=4k --size=16m \
                    --verify=xxhash --verify_only --verify_fatal=1 --verify_state_save=0 \
                    --minimal >/dev/null
                    """)
            }
            try await machine.step("a run is killed, and its promises are checked") {
                let verdict: Verified = try await guest.run(
                    """
                    iopmemctl verify /run/card/data --size 16M --rw randwrite --loops 1000 \
                        --fsync 16 --state /run/state -q >/dev/null 2>&1 & pid=$!
                    until grep -q 'loop [1-9][0-9]* .* promised [0-9][0-9]' /run/state 2>/dev/null; do
                        kill -0 $pid; sleep 0.1; done
                    kill -KILL $pid; wait $pid || true
                    iopmemctl verify /run/card/data --verify-only --state /run/state -o json
                    """, within: 600
                ).json()
                #expect(verdict.verify.result == "pass")
                let promises = try #require(verdict.verify.promises)
                #expect(promises.loop >= 1)
                #expect(promises.promised + promises.window == 4096)
                #expect(promises.kept == promises.promised)
                #expect(promises.broken == 0)
                #expect(promises.window_torn == 0)
            }
            try await machine.step("one broken promise is exit 7") {
                let verdict: Verified = try await guest.run(
                    """
                    dd if=/dev/zero of=/run/card/data bs=4k count=40 seek=1000 conv=notrunc status=none
                    iopmemctl verify /run/card/data --verify-only --state /run/state -o json
                    """, status: 7
                ).json()
                let promises = try #require(verdict.verify.promises)
                #expect(promises.broken + promises.window_torn == 40)
                #expect(promises.broken > 0)
            }
            try await machine.step("a page that finds no room hides nothing of the run") {
                let said = try await machine.refused(
                    1,
                    """
                    mkdir -p /run/small
                    mount -t tmpfs -o size=16k none /run/small
                    iopmemctl verify /run/card/data --size 1M --report /run/small/page.html >/run/table
                    """)
                #expect(said.contains("cannot write the report"))
                let table = try await guest.run("cat /run/table; ls /run/small").output
                #expect(table.contains("PASS"))
                #expect(!table.contains("page.html"))
            }
            try await machine.step("two runs on one target") {
                let said = try await machine.refused(
                    4,
                    """
                    iopmemctl verify /run/card/data --size 1M --rate 100k -q >/dev/null 2>&1 & pid=$!
                    sleep 1
                    status=0
                    iopmemctl verify /run/card/data --size 1M || status=$?
                    kill -INT $pid; wait $pid || true
                    exit $status
                    """)
                #expect(said.contains("another run"))
            }
            try await machine.step("a target that is read-only, and the card goes while it is read")
            {
                let said = try await machine.refused(
                    1,
                    "mount -o remount,ro /run/card && iopmemctl verify /run/card/data --size 1M")
                #expect(said.contains("--verify-only"), "\(said)")
                let gone = try await guest.run(
                    """
                    mount -o remount,rw /run/card
                    iopmemctl verify /run/card/data --size 16M -q >/dev/null
                    iopmemctl verify /run/card/data --verify-only --rate 2m -o json >/run/report 2>/run/talk & pid=$!
                    sleep 2
                    iopmemctl unbind \(namespace.device) --revoke --yes -q >/dev/null
                    status=0; wait $pid || status=$?
                    echo $status; cat /run/talk
                    umount /run/card
                    """, within: 300
                ).output
                #expect(!gone.hasPrefix("0"), "\(gone)")
                #expect(gone.contains("offset"), "\(gone)")
            }
        }
    }
}
