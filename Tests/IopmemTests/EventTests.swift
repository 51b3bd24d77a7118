// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// What the kernel's events are understood to mean.
@Suite("Events")
struct EventTests {
    static let region = "/devices/pci0000:00/0000:00:03.0/0000:03:00.0/iopmem/iopmem0"

    private func heard(_ news: DeviceEvents.News...) throws -> [MachineEvent] {
        let host = try SimulatedHost(.mounted)
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("8", to: "\(path)/bad_blocks")
        host.news = news
        var events: [MachineEvent] = []
        try operation(host).monitor { events.append($0) }
        return events
    }

    private func event(
        _ action: String, _ name: String, subsystem: String = "iopmem",
        _ properties: [String: String] = [:]
    ) -> DeviceEvents.News {
        .event(
            .init(
                action: action, subsystem: subsystem, name: name, path: "\(Self.region)/\(name)",
                properties: properties))
    }

    @Test("a region that comes or goes is bound or unbound, on its function")
    func regions() throws {
        let events = try heard(event("add", "iopmem0"), event("remove", "iopmem0"))
        #expect(events.map(\.kind) == [.bound, .unbound])
        #expect(events.allSatisfy { $0.dev == "iopmem0" && $0.uuid == nil })
        #expect(events.allSatisfy { $0.device == PCIAddress("0000:03:00.0") })
    }

    @Test("a namespace is added with its disk, about which sysfs is asked")
    func added() throws {
        let events = try heard(
            event("add", "iopmem0n1"), event("add", "iopmem0n1", subsystem: "block"))
        let only = try #require(events.first)
        #expect(events.count == 1)
        #expect(only.kind == .added)
        #expect(only.name == "scratch")
        #expect(only.mode == .fsdax)
        #expect(only.uuid != nil)
    }

    @Test("one without a disk is added by itself", arguments: ["devdax", "p2pdma"])
    func addedWithoutDisk(mode: String) throws {
        let events = try heard(event("add", "iopmem0n1", ["IOPMEM_MODE": mode]))
        #expect(events.map(\.kind) == [.added])
        #expect(events.map(\.mode?.rawValue) == [mode])
    }

    @Test("what has gone is known from the event alone")
    func removed() throws {
        let uuid = "6a6f0f4c-7d6f-4b43-9d5c-5b9b9f1d3a11"
        let only = try #require(
            try heard(
                event(
                    "remove", "iopmem7n3",
                    ["IOPMEM_UUID": uuid, "IOPMEM_NAME": "", "IOPMEM_MODE": "raw"])
            ).first)
        #expect(only.kind == .removed)
        #expect(only.uuid == NamespaceUUID(uuid))
        #expect(only.name == nil)
        #expect(only.mode == .raw)
        #expect(only.region == "iopmem7")
    }

    @Test("only what was in use is revoked")
    func revoked() throws {
        let events = try heard(
            event("change", "iopmem0n1", ["IOPMEM_EVENT": "dying", "IOPMEM_OPENERS": "0"]),
            event("change", "iopmem0n1", ["IOPMEM_EVENT": "dying", "IOPMEM_OPENERS": "2"]))
        #expect(events.map(\.kind) == [.revoked])
        #expect(events.first?.openers == 2)
    }

    @Test(
        "changes are what the driver says",
        arguments: [
            ("media-error", MachineEvent.Kind.mediaError), ("reset", .reset), ("resume", .resumed),
        ])
    func changes(said: String, kind: MachineEvent.Kind) throws {
        let events = try heard(event("change", "iopmem0n1", ["IOPMEM_EVENT": said]))
        #expect(events.map(\.kind) == [kind])
        #expect(events.first?.badBlocks == (kind == .mediaError ? 8 : nil))
    }

    @Test("what is not ours, or not news, is not told")
    func others() throws {
        #expect(
            try heard(
                event("add", "sda", subsystem: "block"),
                event("add", "iopmem0n1p1", subsystem: "block"),
                event("change", "iopmem0n1", subsystem: "block"),
                event("change", "iopmem0n1", ["IOPMEM_EVENT": "something newer"]),
                event("change", "iopmem0"), event("add", "iopmem-control")
            ).isEmpty)
    }

    @Test("events that were lost are told as such")
    func lost() throws {
        let events = try heard(.lost, event("add", "iopmem1"))
        #expect(events.map(\.kind) == [.lost, .bound])
    }

    @Test(
        "times are RFC 3339 in UTC",
        arguments: [
            (Timestamp(seconds: 0), "1970-01-01T00:00:00.000Z"),
            (Timestamp(seconds: 1_709_210_096, nanoseconds: 7_999_999), "2024-02-29T12:34:56.007Z"),
        ])
    func times(time: Timestamp, text: String) {
        #expect(time.description == text)
    }
}
