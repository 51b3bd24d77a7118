// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Destroying namespaces on a simulated machine.
@Suite("Destroy")
struct DestroyTests {
    let ext4 = Signature(
        kind: .superblock, type: "ext4", uuid: "f00d", magic: 1080..<1082)

    /// What stands there, what was asked, and what comes of it: nil for done,
    /// or the code.
    @Test(
        "the matrix of data and options",
        arguments: [
            (false, false, false, false, nil),
            (false, false, true, false, nil),
            (false, false, false, true, nil),
            (true, false, false, false, .dataPresent),
            (true, true, false, false, nil),
            (true, false, true, false, nil),
            (true, false, false, true, .dataPresent),
            (true, true, false, true, nil),
        ] as [(Bool, Bool, Bool, Bool, IopmemError.Code?)])
    func matrix(
        hasData: Bool, force: Bool, keepData: Bool, zero: Bool, code: IopmemError.Code?
    ) throws {
        let host = try host()
        if hasData { host.nodeSignatures["/dev/iopmem0n1"] = [ext4] }
        let request = DestroyRequest(keepData: keepData, zero: zero, force: force)
        guard code == nil else {
            let error = #expect(throws: IopmemError.self) { try destroy(host, request) }
            #expect(error?.code == code)
            #expect(host.removals.isEmpty)
            return
        }
        try destroy(host, request)
        let wipes: [Range<UInt64>] = hasData && !keepData ? [1080..<1082] : []
        #expect(host.removals.map(\.wipes) == [wipes])
        #expect(host.removals.map(\.zero) == [zero])
        #expect(host.removals.map(\.revoke) == [false])
        #expect(try Inventory(root: host.root).namespaces.isEmpty)
        #expect(host.openNodes == 0)
    }

    @Test("signatures on partitions are wiped where they lie on the disk")
    func partitions() throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write("", to: "/proc/self/mountinfo")
        for name in ["iopmem0", "iopmem0n2"] { try host.tree.write("", to: "/dev/\(name)") }
        host.nodeSignatures = [
            "/dev/iopmem0n2": [Signature(kind: .partitionTable, type: "gpt", magic: 512..<520)],
            "/dev/iopmem0n2p1": [ext4],
        ]
        try destroy(host, DestroyRequest(force: true), named: "iopmem0n2")
        // Partition 1 begins at sector 2048.
        let start: UInt64 = 2048 * 512
        #expect(host.removals.first?.wipes == [512..<520, start + 1080..<start + 1082])
    }

    @Test("more signatures than one call can wipe are cut to what it can")
    func manySignatures() throws {
        let host = try host()
        host.nodeSignatures["/dev/iopmem0n1"] = (0..<100).map {
            Signature(kind: .superblock, type: "t\($0)", magic: $0 * 512..<$0 * 512 + 4)
        }
        try destroy(host, DestroyRequest(force: true))
        #expect(host.removals.first?.wipes.count == DriverNumber.maxWipes)
    }

    @Test("a mounted namespace is exit 4 with its mount point, also with --force")
    func mounted() throws {
        let host = try SimulatedHost(.mounted)
        let error = #expect(throws: IopmemError.self) {
            try destroy(host, DestroyRequest(force: true))
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("mounted on /tmp/my mount") == true)
        #expect(error?.remedy == "umount /tmp/my mount")
        #expect(host.acts.isEmpty)
    }

    @Test("with --revoke a mounted namespace goes, and the driver is told to take it away")
    func revoke() throws {
        let host = try SimulatedHost(.mounted)
        for name in ["iopmem0", "iopmem0n1"] { try host.tree.write("", to: "/dev/\(name)") }
        host.busyAnswers = 99
        host.pins = "iopmem0n1: 3 pages that are pinned"
        var shown: [String] = []
        let listener = RecordingListener()
        try Operation(on: host, telling: listener)
            .destroy(namespace(host), DestroyRequest(force: true, revoke: true)) {
                shown = $0.losers
            }
        #expect(shown == ["mounted on /tmp/my mount"])
        #expect(host.removals.map(\.revoke) == [true])
        // Once, however often one looks.
        let told = listener.notes.filter { $0.hasPrefix("waiting for ") }
        #expect(told == ["waiting for iopmem0n1: 3 pages that are pinned"])
    }

    @Test("a dry run with --revoke says who would lose it, and takes nothing")
    func dryRevoke() throws {
        let host = try SimulatedHost(.mounted)
        let listener = RecordingListener()
        try Operation(on: host, telling: listener)
            .destroy(namespace(host), DestroyRequest(force: true, revoke: true, dryRun: true)) {
                _ in
            }
        #expect(listener.notes.first?.contains("mounted on /tmp/my mount") == true)
        #expect(host.removals.isEmpty)
    }

    @Test("a program that has it open is named with its number")
    func openFile() throws {
        let host = try host()
        try setOpeners(1, host)
        host.processAnswers = [[holder("fio", 77)]]
        let error = #expect(throws: IopmemError.self) { try destroy(host, DestroyRequest()) }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("open in fio (pid 77)") == true)
    }

    @Test("a mount that only a container sees is named with a process in it")
    func container() throws {
        let host = try host()
        try setOpeners(1, host)
        try host.tree.link("/proc/self/ns/mnt", to: "mnt:[1]")
        for (pid, space) in [(10, 1), (20, 2), (21, 2)] {
            try host.tree.link("/proc/\(pid)/ns/mnt", to: "mnt:[\(space)]")
            try host.tree.write(
                "36 35 259:1 / /data rw - ext4 /dev/iopmem0n1 rw", to: "/proc/\(pid)/mountinfo")
        }
        let error = #expect(throws: IopmemError.self) { try destroy(host, DestroyRequest()) }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("mounted on /data in a container (process 20)") == true)
        #expect(error?.remedy?.contains("nsenter -m -t 20 umount /data") == true)
    }

    @Test("udev's look at a new disk is waited for, not refused")
    func udevProbe() throws {
        let host = try host()
        try setOpeners(1, host)
        host.processAnswers = [[holder("(udev-worker)", 5)], [holder("(udev-worker)", 5)], []]
        host.busyAnswers = 2
        try Operation(on: host, telling: RecordingListener(), patience: .seconds(5))
            .destroy(namespace(host), DestroyRequest()) { _ in }
        #expect(host.acts.filter { $0 == "wait for udev" }.count == 2)
        #expect(try Inventory(root: host.root).namespaces.isEmpty)
    }

    @Test("a holder that nobody can see ends the attempts with the driver's own words")
    func unseenHolder() throws {
        let host = try host()
        host.busyAnswers = 99
        let error = #expect(throws: IopmemError.self) {
            try Operation(on: host, telling: RecordingListener(), patience: .seconds(5))
                .destroy(namespace(host), DestroyRequest()) { _ in }
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("iopmem0n1 is open, last by x[1]") == true)
        #expect(host.removals.isEmpty)
    }

    @Test("peer-to-peer memory is exit 4 with the way out")
    func p2pdma() throws {
        let host = try host()
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("p2pdma", to: "\(path)/mode")
        let error = #expect(throws: IopmemError.self) { try destroy(host, DestroyRequest()) }
        #expect(error?.exitStatus == 4)
        #expect(error?.remedy == "iopmemctl unbind 0000:00:10.0")
    }

    @Test("who does not agree keeps it")
    func disagree() throws {
        let host = try host()
        #expect(throws: IopmemError.self) {
            try operation(host).destroy(namespace(host), DestroyRequest()) {
                _ throws(IopmemError) in
                throw IopmemError(.failed, "not confirmed")
            }
        }
        #expect(host.removals.isEmpty)
    }

    @Test("nobody is asked about a namespace that cannot be destroyed anyway")
    func asksLast() throws {
        let host = try host()
        host.nodeSignatures["/dev/iopmem0n1"] = [ext4]
        var questions = 0
        #expect(throws: IopmemError.self) {
            try operation(host).destroy(namespace(host), DestroyRequest()) { _ in questions += 1 }
        }
        #expect(questions == 0)
    }

    @Test("a dry run asks nothing and does nothing")
    func dryRun() throws {
        let host = try host()
        try operation(host).destroy(namespace(host), DestroyRequest(dryRun: true)) { _ in
            Issue.record("asked")
        }
        #expect(host.removals.isEmpty)
    }

    @Test("only root may: exit 5")
    func unprivileged() throws {
        let host = try host()
        host.isPrivileged = false
        let error = #expect(throws: IopmemError.self) { try destroy(host, DestroyRequest()) }
        #expect(error?.exitStatus == 5)
    }

    @Test("who has all of it overwritten is told how far that is, whether it succeeds or not")
    func progress() throws {
        let host = try host()
        let listener = RecordingListener()
        func destroy(_ request: DestroyRequest) throws {
            try Operation(on: host, telling: listener, patience: .zero)
                .destroy(namespace(host), request) { _ in }
        }
        host.busyAnswers = 100
        #expect(throws: IopmemError.self) { try destroy(DestroyRequest(zero: true)) }
        #expect(listener.progress == ["overwrite iopmem0n1: over"])
        host.busyAnswers = 0
        try destroy(DestroyRequest(zero: true))
        #expect(
            listener.progress.dropFirst() == [
                "overwrite iopmem0n1: 16777216 of 67108864",
                "overwrite iopmem0n1: 67108864 of 67108864", "overwrite iopmem0n1: over",
            ])
    }

    /// A bound card with one namespace.
    private func host() throws -> SimulatedHost {
        let host = try SimulatedHost()
        try host.bindToIopmem("0000:00:10.0")
        _ = try operation(host).create(
            CreateRequest(
                device: PCIAddress(bus: 0, device: 0x10, function: 0), size: .bytes(64 << 20)))
        return host
    }

    private func namespace(
        _ host: SimulatedHost, _ name: String = "iopmem0n1"
    ) throws -> Namespace {
        try Inventory(root: host.root).namespace(named: name, root: host.root)
    }

    private func destroy(
        _ host: SimulatedHost, _ request: DestroyRequest, named name: String = "iopmem0n1"
    ) throws {
        try operation(host).destroy(namespace(host, name), request) { _ in }
    }

    private func setOpeners(_ count: Int, _ host: SimulatedHost) throws {
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("\(count)", to: "\(path)/openers")
    }

    private func holder(_ name: String, _ pid: Int32) -> ProcessHolder {
        ProcessHolder(pid: pid, name: name, device: DeviceNumber(major: 259, minor: 1))
    }
}
