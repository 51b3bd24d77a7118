// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// File systems on namespaces.
extension DoctorTests {
    @Test("DAX is believed only when a file says so")
    func dax() throws {
        let host = try SimulatedHost(.mounted)
        #expect(try status("dax", host) == .unknown)
        try host.tree.write("x", to: "/tmp/my mount/file")
        host.isDAXInEffect = true
        #expect(try status("dax", host) == .ok)
        host.isDAXInEffect = false
        #expect(try status("dax", host) == .problem)
    }

    @Test(
        "where DAX is not in effect, the reason is named, and what mends it on that file system",
        arguments: [
            (
                type: "ext4", more: "", isWrong: true, reason: "its blocks have 1024 bytes",
                remedy: "mkfs.ext4 -b 4096 -O ^inline_data /dev/iopmem0n1"
            ),
            ("ext4", ",data=journal", false, "data=journal", "mount -o dax=always"),
            ("ext4", "", false, nil, "dmesg | grep -i dax"),
            (
                "xfs", "", true, "its blocks have 1024 bytes",
                "mkfs.xfs -b size=4096 -m reflink=0 /dev/iopmem0n1"
            ),
            ("xfs", "", false, nil, "dmesg | grep -i dax"),
        ] as [(type: String, more: String, isWrong: Bool, reason: String?, remedy: String)])
    func daxWithoutEffect(
        type: String, more: String, isWrong: Bool, reason: String?, remedy: String
    ) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(
            "73 58 259:1 / /mnt rw - \(type) /dev/iopmem0n1 rw,dax=always\(more)",
            to: "/proc/self/mountinfo")
        try host.tree.write("x", to: "/mnt/file")
        try host.tree.write(
            type == "xfs"
                ? xfs(blockSize: isWrong ? 1024 : 4096, reflink: false)
                : ext4(shift: isWrong ? 0 : 2), to: "/dev/iopmem0n1")
        host.isDAXInEffect = false
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "dax" })
        #expect(check.status == .problem)
        let finding = "mounted with -o dax, but it is not in effect"
        #expect(check.finding.hasPrefix(reason == nil ? finding : "\(finding); it"), "\(check)")
        #expect(reason.map { check.finding.contains($0) } ?? (check.finding == finding))
        #expect(check.remedy?.contains(remedy) == true, "\(check)")
        // What helps one file system is not said of another.
        #expect(check.remedy?.contains(type == "xfs" ? "mkfs.ext4" : "mkfs.xfs") == false)
        host.isDAXInEffect = true
        let silent = try #require(try Doctor(host).examine([]).first { $0.id == "dax" })
        #expect(silent.status == .ok && silent.remedy == nil)
    }

    @Test(
        "a mount without the option is a problem, with dax=inode a warning",
        arguments: [
            ("rw", Check.Status.problem), ("rw,dax=never", .problem), ("rw,dax=inode", .warning),
        ])
    func daxOption(options: String, expected: Check.Status) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(
            "73 58 259:1 / /mnt rw,relatime - ext4 /dev/iopmem0n1 \(options)",
            to: "/proc/self/mountinfo")
        #expect(try status("dax", host) == expected)
    }

    /// A superblock of ext4 with these features, as mkfs writes them.
    private func ext4(shift: UInt8 = 2, incompatible: UInt16 = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes[1024 + 0x18] = shift
        (bytes[1024 + 0x38], bytes[1024 + 0x39]) = (0x53, 0xef)
        bytes[1024 + 0x60] = UInt8(truncatingIfNeeded: incompatible)
        bytes[1024 + 0x61] = UInt8(incompatible >> 8)
        return bytes
    }

    private func xfs(blockSize: UInt16 = 4096, reflink: Bool) -> [UInt8] {
        var bytes = Array("XFSB".utf8) + [UInt8](repeating: 0, count: 508)
        (bytes[6], bytes[7]) = (UInt8(blockSize >> 8), UInt8(truncatingIfNeeded: blockSize))
        (bytes[100], bytes[101]) = (0xb4, 0xb5)
        bytes[215] = reflink ? 4 : 0
        return bytes
    }

    @Test(
        "what keeps DAX from a file system is named, and how to make one without it",
        arguments: [
            (type: "ext4", options: "rw", shift: UInt8(2), features: UInt16(0), reason: nil),
            ("ext4", "rw", 0, 0, "its blocks have 1024 bytes"),
            ("ext4", "rw", 6, 0, "its blocks have 65536 bytes"),
            ("ext4", "rw", 2, 0x8000, "(inline_data)"),
            ("ext4", "rw,data=journal", 2, 0, "data=journal"),
            ("vfat", "rw", 0, 0, nil),
        ] as [(type: String, options: String, shift: UInt8, features: UInt16, reason: String?)])
    func obstacles(
        type: String, options: String, shift: UInt8, features: UInt16, reason: String?
    ) throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write(
            "73 58 259:1 / /mnt rw,relatime - \(type) /dev/iopmem0n1 \(options)",
            to: "/proc/self/mountinfo")
        try host.tree.write(ext4(shift: shift, incompatible: features), to: "/dev/iopmem0n1")
        let check = try #require(try Doctor(host).examine([]).first { $0.id == "dax" })
        #expect(check.status == .problem)
        #expect(check.finding.contains(";") == (reason != nil))
        #expect(reason.map { check.finding.contains($0) } ?? true, "\(check.finding)")
        let isToBeMade = reason != nil && options == "rw"
        #expect(check.remedy?.contains("mkfs.ext4 -b 4096") == isToBeMade)
    }

    @Test("xfs with reflink is in the way on a partition only")
    func reflink() throws {
        let host = try SimulatedHost(.mounted)
        let disk = try #require(host.root.realPath("/sys/class/block/iopmem0n1"))
        let part = "\(disk)/iopmem0n1p1"
        for (name, value) in [("partition", "1"), ("dev", "259:77"), ("size", "8"), ("start", "8")]
        {
            try host.tree.write(value, to: "\(part)/\(name)")
        }
        func finding(_ node: String, _ number: String, reflink: Bool) throws -> String {
            try host.tree.write(
                "73 58 \(number) / /mnt rw - xfs /dev/\(node) rw", to: "/proc/self/mountinfo")
            try host.tree.write(xfs(reflink: reflink), to: "/dev/\(node)")
            return try #require(try Doctor(host).examine([]).first { $0.id == "dax" }).finding
        }
        #expect(try finding("iopmem0n1p1", "259:77", reflink: true).contains("(reflink)"))
        #expect(try !finding("iopmem0n1p1", "259:77", reflink: false).contains("(reflink)"))
        #expect(try !finding("iopmem0n1", "259:1", reflink: true).contains("(reflink)"))
    }
}
