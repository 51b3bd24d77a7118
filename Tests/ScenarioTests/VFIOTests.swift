// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// A device that a program drives by itself (vfio-pci), as hypervisors do for their guests: it is given
/// the card's memory like RAM, behind the IOMMU.
///
///     root port ── card0   128 MiB   devdax, and fsdax beside it
///     root port ── card1   128 MiB   devdax
///     root port ── edu0              bound to vfio-pci
@Suite("VFIO")
struct VFIOTests {
    static let topology = Topology(
        .rootPort("rp0", .card("card0", megabytes: 128)),
        .rootPort("rp1", .edu("edu0")),
        .rootPort("rp2", .card("card1", megabytes: 128))
    ).translatingDMA()

    @Test(
        "a device behind vfio copies within devdax, and is refused files",
        arguments: Kernel.supported)
    func passedThrough(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let edu = try await machine.function("edu0").address
            let group = try await guest.run(
                """
                # The lab's IOMMU does not remap interrupts.
                modprobe vfio_iommu_type1 allow_unsafe_interrupts=1
                modprobe vfio-pci
                echo vfio-pci >/sys/bus/pci/devices/\(edu)/driver_override
                echo \(edu) >/sys/bus/pci/drivers_probe
                basename $(readlink /sys/bus/pci/devices/\(edu)/iommu_group)
                """
            ).output
            let words = "/dev/vfio/\(group) \(edu)"
            let namespace = try await machine.create(on: "card0", "--mode devdax --size 64M")
            try await machine.step("devdax is memory like any other") {
                let said = try await guest.run(
                    "iopmem-guest vfio \(words) \(namespace.path) 16777216"
                ).output
                #expect(said == "mapped\ncopied")
                let bytes = try Storage.bytes(
                    of: machine.storage.card("card0"),
                    offset: namespace.offset + (16 << 20) - 2048, count: 2048)
                #expect(Array(bytes) == (0..<2048).map { UInt8(truncatingIfNeeded: $0 * 11 + 5) })
            }
            try await machine.step("from one card to the other, and back") {
                let other = try await machine.create(on: "card1", "--mode devdax --size 32M")
                let said = try await guest.run(
                    "iopmem-guest vfio \(words) \(namespace.path) 33554432 \(other.path)"
                ).output
                #expect(said == "mapped\ncopied")
                let wanted = (0..<2048).map { UInt8(truncatingIfNeeded: $0 * 11 + 5) }
                for (card, namespace) in [("card1", other), ("card0", namespace)] {
                    let bytes = try Storage.bytes(
                        of: machine.storage.card(card),
                        offset: namespace.offset + (32 << 20) - 2048, count: 2048)
                    #expect(Array(bytes) == wanted, "on \(card)")
                }
                try await guest.run("iopmemctl destroy \(other.dev) --yes")
            }
            try await machine.step("files are refused, since a file system may move them") {
                let files = try await machine.create(on: "card0", "--size 32M")
                try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
                try await guest.run("fallocate -l 8M /run/files/memory")
                let said = try await guest.run(
                    "iopmem-guest vfio \(words) /run/files/memory 8388608"
                ).output
                #expect(said == "refused EOPNOTSUPP")
                try await guest.run("umount /run/files")
            }
            try await machine.step("its driver is killed in the middle of it") {
                try await guest.run(
                    """
                    cd /run
                    setsid iopmem-guest vfio \(words) \(namespace.path) 16777216 forever >out 2>&1 &
                    until grep -q copied out; do sleep 0.1; done
                    """)
                let said = try await machine.refused(4, "iopmemctl destroy \(namespace.dev) --yes")
                #expect(said.contains("iopmem-guest"), "it said \(said)")
                try await guest.run(
                    "pkill -KILL -x iopmem-guest; while pgrep -x iopmem-guest; do sleep 0.1; done",
                    within: 60)
            }
            try await machine.step("and nothing is held afterwards") {
                try await guest.run("iopmemctl destroy \(namespace.dev) --yes")
            }
        }
    }
}
