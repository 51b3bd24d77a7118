// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Everything at once, on processors that run at the same time.
///
///     root complex ─┬─ sw0 ─┬─ card0   128 MiB   bound, unbound, reset, removed, used
///                   │       └─ edu0              imports dma-bufs of it
///                   └─ nvme0                     does DMA into it meanwhile
@Suite("Races")
struct RaceTests {
    static let topology = Topology(
        .switch("sw0", .card("card0", megabytes: 128), .edu("edu0")), .nvme("nvme0")
    ).inParallel()

    /// The processes' choices follow from it. Another one is another test: `IOPMEM_SEED=7`.
    static let seed = Setting.number("IOPMEM_SEED") ?? 1

    @Test(
        "every ioctl and sysfs write can meet every other, and all can go afterwards",
        arguments: Kernel.supported)
    func everything(on kernel: Kernel) async throws {
        // A kernel that looks for bugs is worth minutes; elsewhere this finds what is found at once.
        let seconds = Setting.number("IOPMEM_RACE_SECONDS") ?? (kernel.looksForBugs ? 180 : 20)
        try await scenario(Self.topology, on: kernel, preparation: try .importer()) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            try await guest.run("modprobe iopmem && modprobe iopmem-importer")
            try await machine.step("\(seconds) s with seed \(Self.seed)") {
                let tallies = try await guest.run(
                    "iopmem-guest race \(card) /dev/nvme0n1 \(seconds) \(Self.seed)",
                    within: 8 * seconds + 200
                ).output
                for line in tallies.split(separator: "\n") {
                    #expect(!line.contains(" 0 worked"), "\(line), so this proves nothing")
                }
            }
            try await machine.step("what is left can go") {
                try await guest.run(
                    """
                    # The card may be off the bus, and a race with rescan may leave it so.
                    echo 1 >/sys/bus/pci/rescan
                    [ -e /sys/module/iopmem ] || modprobe iopmem
                    # Thousands of events, of which udev makes a few in a second in a slow kernel.
                    udevadm settle --timeout=900
                    if grep /run/race /proc/mounts; then exit 1; fi
                    cd /sys/bus/pci/devices/\(card)
                    if [ -e driver ]; then echo \(card) >driver/unbind; fi
                    if grep iopmem /proc/iomem; then exit 1; fi
                    if ls -d /dev/iopmem[0-9]* /sys/class/iopmem/iopmem[0-9]* \\
                        /sys/block/iopmem* | grep .; then exit 1; fi
                    rmmod iopmem-importer iopmem
                    if grep iopmem /proc/devices /proc/misc; then exit 1; fi
                    modprobe iopmem
                    """, within: 1000)
                let again = try await machine.create(on: "card0", "--size max --force --yes")
                try await guest.run(
                    "fio --name=again --filename=\(again.path) --rw=write --bs=64k --size=8M"
                        + " --direct=1 --verify=crc32c --verify_fatal=1 --verify_state_save=0"
                        + " --minimal >/dev/null && iopmemctl unbind \(card)")
            }
        }
    }
}
