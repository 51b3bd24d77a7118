// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Waiting for a namespace on a simulated machine.
@Suite("Wait")
struct WaitTests {
    @Test("a namespace that is ready is returned at once")
    func ready() throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write("", to: "/dev/iopmem0n1")
        let found = try operation(host).wait(for: "scratch", timeout: .seconds(1))
        #expect(found.dev == "iopmem0n1")
        #expect(host.acts == ["watch", "wait for block iopmem0n1"])
    }

    @Test("one that is made later is returned then")
    func later() throws {
        let host = try SimulatedHost()
        host.events = [
            { try $0.bindToIopmem("0000:00:10.0") },
            { host in
                _ = try operation(host).create(
                    CreateRequest(
                        device: PCIAddress(bus: 0, device: 0x10, function: 0), name: "late"))
            },
        ]
        #expect(try operation(host).wait(for: "late", timeout: .seconds(1)).name == "late")
        #expect(host.events.isEmpty)
        // What udev still knows of another one by that name is not taken for it.
        #expect(host.acts.last == "wait for new block iopmem0n1")
    }

    @Test("one that never comes is exit 1 when the time is up, and says which")
    func never() throws {
        let host = try SimulatedHost()
        let error = #expect(throws: IopmemError.self) {
            try operation(host).wait(for: "late", timeout: .zero)
        }
        #expect(error?.code == .timedOut)
        #expect(error?.exitStatus == 1)
        #expect(error?.message.contains("late") == true)
    }

    @Test("one that is being taken away is not ready")
    func dying() throws {
        let host = try SimulatedHost(.mounted)
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("dying", to: "\(path)/state")
        #expect(throws: IopmemError.self) {
            try operation(host).wait(for: "scratch", timeout: .zero)
        }
    }
}
