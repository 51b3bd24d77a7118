// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Several namespaces and cards, all in use at once.
///
///     root complex ─┬─ card0   256 MiB   several namespaces
///                   ├─ card1    64 MiB   one namespace
///                   └─ nvme0
@Suite("Sharing")
struct SharingTests {
    static let topology = Topology(
        .card("card0", megabytes: 256), .card("card1", megabytes: 64), .nvme("nvme0"))

    @Test("namespaces live side by side and die alone", arguments: Kernel.supported)
    func sideBySide(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let (first, second) = try await machine.step("two namespaces on one region") {
                let first = try await machine.create(on: "card0", "--size 64M --name one")
                let second = try await machine.create(
                    on: "card0", "--size 32M --mode raw --name two")
                #expect(first.region == second.region)
                #expect(first.offset + first.size <= second.offset)
                return (first, second)
            }
            let third = try await machine.step("one on a second card") {
                let third = try await machine.create(on: "card1", "--size max")
                #expect(third.region != first.region)
                #expect(third.size == 64 << 20)
                return third
            }
            try await machine.step("I/O to all of them at once, verified by fio") {
                try await guest.run(
                    [first, second, third].map { fio(on: $0.path, size: "16M") }
                        .joined(separator: " & ") + " & wait -n && wait -n && wait -n",
                    within: 240)
            }
            try await machine.step("a partitioned namespace works as a disk does") {
                try await guest.run(
                    "echo '2048,16384' | sfdisk --quiet --label dos \(third.path) && udevadm settle"
                )
                try await guest.run(fio(on: third.path + "p1", size: "8M"))
            }
            try await machine.step("destroying one leaves the other's data") {
                let before = try await guest.run("sha256sum <\(first.path)").output
                try await guest.run("iopmemctl destroy two --yes")
                let listing = try await machine.list()
                #expect(!listing.namespaces.contains { $0.dev == second.dev })
                #expect(try listing.namespace(first.dev).uuid == first.uuid)
                try await guest.run("test ! -e \(second.path)")
                #expect(try await guest.run("sha256sum <\(first.path)").output == before)
            }
            try await machine.step("the space that became free can be used again") {
                let again = try await machine.create(on: "card0", "--size 32M --name two")
                #expect(again.dev == second.dev)
                #expect(again.offset == second.offset)
                #expect(again.uuid != second.uuid)
            }
        }
    }

    /// Writes random blocks with checksums and reads them back, with both engines.
    private func fio(on node: String, size: String) -> String {
        let common =
            "--filename=\(node) --rw=randwrite --bs=4k --size=\(size) --direct=1 --verify=crc32c"
            + " --verify_fatal=1 --verify_state_save=0 --minimal"
        return "{ fio --name=psync --ioengine=psync \(common) >/dev/null"
            + " && fio --name=uring --ioengine=io_uring --iodepth=8 \(common) >/dev/null; }"
    }
}
