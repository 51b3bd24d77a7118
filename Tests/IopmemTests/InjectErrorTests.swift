// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// Making blocks bad on a simulated machine.
@Suite("Inject error")
struct InjectErrorTests {
    private func inject(
        _ range: Range<UInt64>, _ host: SimulatedHost, dryRun: Bool = false
    ) throws {
        let namespace = try #require(
            try Inventory(root: host.root).namespaces.first { $0.dev == "iopmem0n1" })
        try Operation(on: host, telling: RecordingListener())
            .injectError(into: namespace, range: range, dryRun: dryRun)
    }

    private func host() throws -> SimulatedHost {
        let host = try SimulatedHost(.mounted)
        try host.tree.write("", to: "/dev/iopmem0")
        return host
    }

    @Test("whole blocks are handed to the driver with the namespace's identity")
    func done() throws {
        let host = try host()
        let namespace = try #require(
            try Inventory(root: host.root).namespaces.first { $0.dev == "iopmem0n1" })
        try inject(4096..<8192, host)
        #expect(
            host.injections == [
                ErrorInjection(
                    id: namespace.id, uuid: namespace.uuid.bytes, range: 4096..<8192)
            ])
        #expect(host.openNodes == 0)
    }

    @Test(
        "half blocks, nothing, and what lies beyond the end are refused",
        arguments: [
            0..<100, 100..<512, 512..<512, 0..<(1 << 50),
        ] as [Range<UInt64>])
    func refused(range: Range<UInt64>) throws {
        let host = try host()
        let error = #expect(throws: IopmemError.self) { try inject(range, host) }
        #expect(error?.exitStatus == 64)
        #expect(host.injections.isEmpty)
    }

    @Test("a driver that was not built for it is exit 6, with what to build")
    func unsupported() throws {
        let host = try host()
        // Acts: open the region, inject.
        host.failingAct = 1
        let error = #expect(throws: IopmemError.self) { try inject(0..<512, host) }
        #expect(error?.exitStatus == 6)
        #expect(error?.remedy?.contains("IOPMEM_DEBUG=1") == true)
    }

    @Test("a dry run changes nothing")
    func dryRun() throws {
        let host = try host()
        try inject(0..<512, host, dryRun: true)
        #expect(host.injections.isEmpty)
    }
}
