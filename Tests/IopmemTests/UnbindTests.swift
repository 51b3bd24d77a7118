// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Unbinding a function from iopmem on a simulated machine.
@Suite("Unbind")
struct UnbindTests {
    let card = "0000:00:10.0"

    @Test("bind and unbind leave the machine as it was")
    func roundTrip() throws {
        let host = try SimulatedHost()
        try host.bind(card, to: "vendor")
        try host.tree.makeDirectory("/sys/bus/pci/drivers/iopmem")
        let before = try host.tree.snapshot()
        _ = try operation(host).bind(BindRequest(address: try address(card), force: true))
        let device = try operation(host).unbind(try address(card), dryRun: false)
        #expect(device.driver == "vendor")
        #expect(try host.tree.snapshot() == before)
    }

    @Test("a function that is not bound is left alone, with success")
    func notBound() throws {
        let host = try SimulatedHost()
        _ = try operation(host).unbind(try address(card), dryRun: false)
        #expect(host.acts.isEmpty)
    }

    @Test("namespaces go first, by one call that all of them survive or none")
    func retires() throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write("", to: "/proc/self/mountinfo")
        for name in ["iopmem0", "iopmem0n1", "iopmem0n2"] {
            try host.tree.write("", to: "/dev/\(name)")
        }
        let device = try operation(host).unbind(try address("0000:03:00.0"), dryRun: false)
        #expect(device.driver == nil)
        #expect(
            host.acts == [
                "open control", "ask for the version", "retire",
                "write 0000:03:00.0 to /sys/bus/pci/drivers/iopmem/unbind",
                "write nothing to /sys/bus/pci/devices/0000:03:00.0/driver_override",
                "write 0000:03:00.0 to /sys/bus/pci/drivers_probe",
            ])
        #expect(try Inventory(root: host.root).namespaces.isEmpty)
        #expect(host.openNodes == 0)
    }

    @Test("a mounted namespace is exit 4 with its mount point, and nothing has changed")
    func mounted() throws {
        let host = try SimulatedHost(.mounted)
        let before = try host.tree.snapshot()
        host.busyAnswers = 99
        let error = #expect(throws: IopmemError.self) {
            try operation(host).unbind(try address("0000:03:00.0"), dryRun: false)
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("iopmem0n1 is mounted on /tmp/my mount") == true)
        #expect(error?.remedy == "umount /tmp/my mount")
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
    }

    @Test("with --revoke a held namespace is agreed about and then taken away")
    func revoke() throws {
        let host = try SimulatedHost(.mounted)
        for name in ["iopmem0", "iopmem0n1", "iopmem0n2"] {
            try host.tree.write("", to: "/dev/\(name)")
        }
        host.busyAnswers = 99
        host.pins = "iopmem0: a dma-buf that cannot be taken back"
        var asked: [String] = []
        let listener = RecordingListener()
        _ = try Operation(on: host, telling: listener).unbind(
            try address("0000:03:00.0"), revoke: true, dryRun: false
        ) { held throws(IopmemError) in asked = held.map(\.dev) }
        #expect(listener.notes.contains("waiting for \(host.pins)"))
        #expect(asked == ["iopmem0n1"])
        #expect(host.retirements == [true])
        #expect(try Inventory(root: host.root).namespaces.isEmpty)
    }

    @Test("a user who does not agree keeps everything")
    func revokeRefused() throws {
        let host = try SimulatedHost(.mounted)
        let before = try host.tree.snapshot()
        let error = #expect(throws: IopmemError.self) {
            try operation(host).unbind(
                try address("0000:03:00.0"), revoke: true, dryRun: false
            ) { _ throws(IopmemError) in throw IopmemError(.failed, "not confirmed") }
        }
        #expect(error?.code == .failed)
        #expect(host.retirements.isEmpty)
        #expect(try host.tree.snapshot() == before)
    }

    @Test("a dry run names what would go and does nothing")
    func dryRun() throws {
        let host = try SimulatedHost(.mounted)
        let listener = RecordingListener()
        // One is mounted.
        let refused = #expect(throws: IopmemError.self) {
            try operation(host).unbind(try address("0000:03:00.0"), dryRun: true)
        }
        #expect(refused?.exitStatus == 4)
        #expect(refused?.remedy == "umount /tmp/my mount")
        _ = try Operation(on: host, telling: listener)
            .unbind(try address("0000:03:00.0"), revoke: true, dryRun: true)
        #expect(host.acts.isEmpty)
        #expect(listener.notes.count == 3)
    }

    @Test("an override that is not ours is left alone")
    func otherOverride() throws {
        let host = try SimulatedHost()
        try host.bindToIopmem(card)
        let path = "/sys/devices/pci0000:00/\(card)/driver_override"
        try host.tree.write("vfio-pci", to: path)
        _ = try operation(host).unbind(try address(card), dryRun: false)
        #expect(try host.root.text(path) == "vfio-pci")
    }
}
