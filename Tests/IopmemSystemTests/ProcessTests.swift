// SPDX-License-Identifier: GPL-2.0
import Glibc
import IopmemSystem
import SystemPackage
import Testing

/// Other programs: running them and finding them.
@Suite("Processes")
struct ProcessTests {
    @Test("a program's exit status and complaint come back")
    func outcome() throws {
        let outcome = try Program.run("/bin/sh", ["-c", "echo no >&2; exit 3"])
        #expect(outcome.status == 3)
        #expect(outcome.complaint == "no")
    }

    @Test("a program's output comes back where it succeeds, and its complaints do not")
    func output() throws {
        #expect(try Program.output(of: "/bin/sh", ["-c", "echo 1 2; echo no >&2"]) == "1 2")
        #expect(try Program.output(of: "/bin/sh", ["-c", "echo 1 2; exit 3"]) == nil)
        #expect(throws: Errno.noSuchFileOrDirectory) { try Program.output(of: "/nonexistent", []) }
    }

    @Test("a program that a signal ends counts as 128 and the signal")
    func killed() throws {
        #expect(try Program.run("/bin/sh", ["-c", "kill -TERM $$"]).status == 128 + SIGTERM)
    }

    @Test("a program that is not there is ENOENT")
    func missing() {
        #expect(throws: Errno.noSuchFileOrDirectory) { try Program.run("/nonexistent", []) }
    }

    @Test("device numbers are read from nodes and from sysfs' spelling")
    func deviceNumbers() {
        let null = DeviceNumber(node: "/dev/null")
        #expect(null == DeviceNumber(major: 1, minor: 3, isBlock: false))
        #expect(DeviceNumber(node: "/etc/passwd") == nil)
        #expect(DeviceNumber("259:7") == DeviceNumber(major: 259, minor: 7))
        #expect(DeviceNumber("259") == nil)
        #expect(DeviceNumber("259:") == nil)
    }

    @Test("a deadline counts down, and says so to poll in whole milliseconds")
    func deadline() {
        let far = Deadline(in: .seconds(100))
        #expect((99_000...100_001).contains(far.pollTimeout))
        #expect(!far.hasPassed)
        let past = Deadline(in: .zero)
        #expect(past.hasPassed)
        #expect(past.pollTimeout == 0)
    }
}
