// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// The main job where an IOMMU gives every device its own addresses.
///
///     IOMMU ─┬─ root port ── card0   128 MiB
///            └─ root port ── nvme0
@Suite("Translating IOMMU")
struct TranslationTests {
    static let length = 8 << 20

    @Test("a drive reaches the card's memory through the IOMMU", arguments: Kernel.supported)
    func translated(on kernel: Kernel) async throws {
        let topology = Topology(
            .rootPort("rp0", .card("card0", megabytes: 128)), .rootPort("rp1", .nvme("nvme0"))
        ).translatingDMA()
        try await scenario(topology, on: kernel) { machine in
            let bar = try #require(try await machine.function("card0").bars[2])
            let drive = try await machine.function("nvme0").address
            let namespace = try await machine.create(on: "card0", "--size max")
            let file = "/run/card/buffer"
            try await machine.step("the drive's addresses are translated") {
                let type = try await machine.guest.run(
                    "cat /sys/bus/pci/devices/\(drive)/iommu_group/type"
                ).output
                #expect(type == "DMA")
                try await machine.guest.run(FileSystem.ext4.mount(namespace.path, at: "/run/card"))
                try await machine.guest.run("fallocate -l \(Self.length) \(file)")
            }
            for (direction, moved) in [("in", \NVMeTrace.bytesRead), ("out", \.bytesWritten)] {
                try await machine.step("\(direction): QEMU's IOMMU sends every byte to the BAR") {
                    if direction == "out" {
                        try await machine.guest.run(
                            "head -c \(Self.length) /dev/urandom >\(file) && sync \(file)")
                    }
                    let trace = try await machine.transfer(
                        "iopmem-guest transfer \(direction) /dev/nvme0n1 \(file) \(Self.length)")
                    #expect(trace[keyPath: moved] == Self.length)
                    #expect(trace.untranslatedBytes == 0)
                    #expect(trace.bytes(in: bar) == Self.length)
                    #expect(trace.bytes(outside: bar) == 0)
                    let onCard = try await machine.bytesOnCard(
                        ofFile: file, count: Self.length, card: "card0", start: namespace.offset)
                    let onDrive = try Storage.bytes(
                        of: machine.storage.drive("nvme0"), offset: 0, count: Self.length)
                    #expect(onCard == onDrive)
                }
            }
            try await machine.step("into RAM: the same record shows RAM") {
                let trace = try await machine.transfer(
                    "iopmem-guest transfer in /dev/nvme0n1 ram \(Self.length)")
                #expect(trace.bytesRead == Self.length)
                #expect(trace.bytes(in: bar) == 0)
                #expect(trace.bytes(outside: bar) == Self.length)
            }
            try await machine.step("iopmemctl comes to the same verdict") {
                let verdict: Verified = try await machine.guest.run(
                    "iopmemctl verify /run/card/data --size 8M --peer /dev/nvme0n1 --peer-write -o json"
                ).json()
                #expect(verdict.verify.result == "pass")
                #expect(verdict.verify.p2p.map(\.direction) == ["peer-to-bar", "bar-to-peer"])
            }
        }
    }
}
