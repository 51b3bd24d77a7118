// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import Support
import SystemPackage
import Testing

/// Reading file trees below a root.
@Suite("SystemRoot")
struct SystemRootTests {
    let directory: TemporaryDirectory
    var root: SystemRoot { directory.root }

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write("0xd0000000", to: "/sys/address")
        try directory.write("42", to: "/sys/count")
        try directory.makeDirectory("/sys/devices/card")
        try directory.link("/sys/class/card", to: "../devices/card")
        try directory.link("/sys/nowhere", to: "gone")
    }

    @Test("reads text without the newline, and numbers in both of sysfs' spellings")
    func values() throws {
        #expect(try root.text("/sys/count") == "42")
        #expect(try root.number("/sys/count") == 42)
        #expect(try root.number("/sys/address") == 0xd000_0000)
    }

    @Test("says ENOENT for what is not there, and EINVAL for what is no number")
    func errors() throws {
        #expect(throws: Errno.noSuchFileOrDirectory) { try root.text("/sys/none") }
        #expect(throws: Errno.noSuchFileOrDirectory) { try root.entries("/sys/none") }
        try directory.write("many", to: "/sys/count")
        #expect(throws: Errno.invalidArgument) { try root.number("/sys/count") }
    }

    @Test("lists a directory in order, without . and ..")
    func entries() throws {
        #expect(try root.entries("/sys") == ["address", "class", "count", "devices", "nowhere"])
    }

    @Test("follows links, and never out of the root")
    func links() throws {
        #expect(root.linkName("/sys/class/card") == "card")
        #expect(root.realPath("/sys/class/card") == "/sys/devices/card")
        #expect(root.linkName("/sys/count") == nil)
        #expect(root.realPath("/sys/nowhere") == nil)
        #expect(!root.exists("/sys/nowhere"))
        try directory.link("/sys/out", to: "/proc")
        #expect(root.realPath("/sys/out") == nil)
    }
}
