// SPDX-License-Identifier: GPL-2.0
import Glibc
import Logging
import Support
import Testing

@testable import Iopmem
@testable import IopmemSystem

/// What is written down of changes.
@Suite("Journal")
struct JournalTests {
    private let card = PCIAddress(bus: 0, device: 0x10, function: 0)

    @Test("making and destroying is written down with the UUID, once it is done")
    func story() throws {
        let host = try SimulatedHost()
        let made = try #require(
            try operation(host).create(
                CreateRequest(device: card, size: .bytes(64 << 20), name: "scratch")))
        try operation(host).destroy(made, DestroyRequest()) { _ in }
        _ = try operation(host).unbind(card, dryRun: false)
        #expect(
            host.records.messages == [
                "bound 0000:00:10.0", "created iopmem0n1: fsdax, 64 MiB at 0 B of iopmem0",
                "destroyed iopmem0n1", "unbound 0000:00:10.0",
            ])
        for entry in host.records.entries.dropFirst().prefix(2) {
            #expect(entry.fields["uuid"] == "\(made.uuid)")
            #expect(entry.fields["name"] == "scratch")
            #expect(entry.fields["device"] == "0000:00:10.0")
        }
    }

    @Test("what goes with its device is written down, too")
    func unbind() throws {
        let host = try SimulatedHost()
        let made = try #require(try operation(host).create(CreateRequest(device: card)))
        _ = try operation(host).unbind(card, dryRun: false)
        let entry = try #require(host.records.entries.dropFirst(2).first)
        #expect(entry.message == "destroyed iopmem0n1, leaving its data")
        #expect(entry.fields["uuid"] == "\(made.uuid)")
    }

    @Test("what was undone is no deed: why it failed is written down, once")
    func undone() throws {
        let whole = try SimulatedHost()
        _ = try operation(whole).create(CreateRequest(device: card, name: "scratch"))
        for act in 0..<whole.acts.count {
            let host = try SimulatedHost()
            host.failingAct = act
            let error = #expect(throws: IopmemError.self) {
                try operation(host).create(CreateRequest(device: card, name: "scratch"))
            }
            let entry = try #require(host.records.entries.first, "after \(host.acts)")
            #expect(host.records.entries.count == 1, "after \(host.acts)")
            #expect(entry.level == .error)
            #expect(entry.message == error?.message)
            #expect(
                entry.fields == [
                    "device": "0000:00:10.0", "name": "scratch",
                    "error": error?.code.rawValue ?? "",
                ])
        }
    }

    @Test("a namespace that stays, or cannot be used, can be found by its UUID")
    func refused() throws {
        let host = try SimulatedHost()
        let made = try #require(try operation(host).create(CreateRequest(device: card)))
        let known = host.records.entries.count
        host.nodeSignatures["/dev/iopmem0n1"] = [Signature(kind: .superblock, type: "xfs")]
        #expect(throws: IopmemError.self) {
            try operation(host).destroy(made, DestroyRequest()) { _ in }
        }
        try host.tree.write("Filename Type\n/dev/iopmem0n1 partition\n", to: "/proc/swaps")
        #expect(throws: IopmemError.self) { try operation(host).share(made, ShareRequest()) }
        host.failingAct = host.acts.count + 1
        #expect(throws: IopmemError.self) {
            try operation(host).injectError(into: made, range: 0..<512, dryRun: false)
        }
        let entries = host.records.entries.dropFirst(known)
        #expect(entries.count == 3)
        #expect(entries.allSatisfy { $0.level == .error && $0.fields["uuid"] == "\(made.uuid)" })
        #expect(entries.first?.fields["error"] == "data_present")
    }

    @Test("plans, and what the command line got wrong, are not written down")
    func nothing() throws {
        let host = try SimulatedHost()
        _ = try operation(host).create(CreateRequest(device: card, dryRun: true))
        #expect(throws: IopmemError.self) {
            try operation(host).create(
                CreateRequest(device: card, size: .bytes(1), map: .dev, dryRun: true))
        }
        #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: card, bar: 1, dryRun: true))
        }
        #expect(host.records.entries.isEmpty)

        let made = try #require(try operation(host).create(CreateRequest(device: card)))
        let known = host.records.entries.count
        #expect(throws: IopmemError.self) {
            try operation(host).injectError(into: made, range: 0..<100, dryRun: false)
        }
        #expect(host.records.entries.count == known)
    }

    @Test("the journal gets fields of its native protocol")
    func wire() throws {
        let folder = try TemporaryDirectory()
        let path = folder.root.resolve("/journal")
        let receiver = try Receiver(path)
        let logger = Logger(label: "iopmemctl") {
            JournalLogHandler(label: $0, socket: JournalSocket(path: path))
        }
        logger.notice("created a\nb", metadata: ["uuid": "u", "dev": "d"])
        let length: [UInt8] = [11, 0, 0, 0, 0, 0, 0, 0]
        #expect(
            receiver.next() == Array("MESSAGE\n".utf8) + length
                + Array(
                    "created a\nb\nPRIORITY=5\nSYSLOG_IDENTIFIER=iopmemctl\nIOPMEM_DEV=d\nIOPMEM_UUID=u\n"
                        .utf8))
    }

    @Test("where there is no journal, nothing happens")
    func absent() {
        let logger = Logger(label: "iopmemctl") {
            JournalLogHandler(label: $0, socket: JournalSocket(path: "/nowhere/socket"))
        }
        logger.notice("created")
    }
}

/// Takes the journal's place.
private struct Receiver: ~Copyable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        var (address, length) = try JournalSocket.address(of: path)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    func next() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return Array(bytes.prefix(max(0, count)))
    }
}
