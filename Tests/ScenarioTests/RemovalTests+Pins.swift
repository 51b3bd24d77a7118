// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Removals that have to wait: for a device that holds pages, and for a mount that has begun.
extension RemovalTests {
    @Test(
        "a pin delays a removal, whose log names the candidates, and nothing else does",
        arguments: Kernel.supported)
    func pinned(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0")
            try await machine.startMonitor()
            let files = try await machine.create(on: "card0", "--size 128M")
            try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
            try await guest.run(
                """
                cd /run
                dd if=/dev/urandom of=files/pinned bs=4k count=4
                setsid iopmem-guest pin files/pinned >pin.out 2>&1 &
                until grep -q pinned pin.out; do sleep 0.2; done
                """)
            try await machine.step("what is pinned is not destroyed") {
                let said = try await machine.refused(
                    4, "iopmemctl destroy \(files.dev) --yes --force")
                #expect(said.contains("mounted on /run/files"))
            }
            try await machine.step("the removal waits, and says for what") {
                let waits = "\(Guest.kernelLog) | grep '\(files.dev): removal waits'"
                try await guest.run(
                    """
                    (echo 1 >/sys/bus/pci/devices/\(card.address)/remove; touch /run/removed) \
                        >/dev/null 2>&1 &
                    until \(waits); do sleep 0.5; done
                    test ! -e /run/removed
                    """, within: 60)
                let warning = try await guest.run("\(waits) | tail -n 1").output
                #expect(warning.contains("for 1 pages"), "the log says \(warning)")
                #expect(warning.contains("iopmem-guest["), "the log says \(warning)")
                // What can be revoked was: the file system is there and fails.
                let read = try await guest.run(
                    "dd if=/run/files/pinned of=/dev/null bs=4k", status: 1)
                #expect(
                    ["Input/output error", "No such device or address"].contains {
                        read.errors.contains($0)
                    }, "a read said \(read.errors)")
            }
            try await machine.step("the pin ends, and the removal with it") {
                try await guest.run(
                    """
                    pkill -x iopmem-guest
                    until [ -e /run/removed ]; do sleep 0.2; done
                    umount /run/files
                    if grep iopmem /proc/iomem; then exit 1; fi
                    """, within: 60)
                try await Way.sysfsRemove.giveBack(card, machine)
                let again = try await machine.create(on: "card0", "--size 64M --force")
                try await guest.run("iopmemctl destroy \(again.dev) --yes --keep-data")
            }
            try await machine.step("a monitor heard it") {
                let events = try await machine.events()
                #expect(
                    events.prefix(5).map { "\($0.event) \($0.dev)" }
                        == [
                            "bound \(files.region)", "added \(files.dev)",
                            "revoked \(files.dev)", "removed \(files.dev)",
                            "unbound \(files.region)",
                        ])
                #expect(events.allSatisfy { $0.device == card.address })
                #expect(events.prefix(4).dropFirst().allSatisfy { $0.uuid == files.uuid })
            }
            try await machine.step("a pin on a devdax namespace delays its removal too") {
                let mapped = try await machine.create(
                    on: "card0", "--mode devdax --size 16M --force")
                let waits = "\(Guest.kernelLog) | grep '\(mapped.dev): removal waits'"
                try await guest.run(
                    """
                    cd /run
                    : >pin.out
                    setsid iopmem-guest pin \(mapped.path) >pin.out 2>&1 &
                    until grep -q pinned pin.out; do sleep 0.2; done
                    """)
                let said = try await machine.refused(4, "iopmemctl destroy \(mapped.dev) --yes")
                #expect(said.contains("512 pages of \(mapped.dev) are pinned"), "it said \(said)")
                #expect(said.contains("used by iopmem-guest["), "it said \(said)")
                try await guest.run(
                    """
                    cd /run
                    rm -f removed
                    (iopmemctl unbind \(card.address) --revoke --yes; touch removed) >said 2>&1 &
                    until \(waits) | grep 'for 512 pages.*iopmem-guest'; do sleep 0.5; done
                    until grep 'waiting for \(mapped.dev): 512 pages.*iopmem-guest' said; do sleep 0.2; done
                    test ! -e removed
                    pkill -x iopmem-guest
                    until [ -e removed ]; do sleep 0.2; done
                    test ! -e /sys/bus/pci/devices/\(card.address)/driver
                    """, within: 60)
            }
            try await machine.step("a mount that began fails, and the removal ends") {
                try await removeDuringMount(card, machine)
            }
            try await machine.step("a memory region of RDMA does, until its holder is killed") {
                try await removeUnderRDMA(card, machine)
            }
        }
    }

    /// The mount's end is in our hands: its journal is on another disk, which is suspended.
    private func removeDuringMount(_ card: PCIFunction, _ machine: Machine) async throws {
        let guest = machine.guest
        let files = try await machine.create(on: "card0", "--size 64M --force")
        try await guest.run(
            """
            cd /run
            echo 0 131072 linear /dev/nvme0n1 0 | dmsetup create journal
            mkfs.ext4 -q -F -b 4096 -O journal_dev /dev/mapper/journal
            mkfs.ext4 -q -F -b 4096 -J device=/dev/mapper/journal \(files.path)
            udevadm settle
            dmsetup suspend journal
            (set +e; mount -t ext4 \(files.path) files; echo $? >mounted) >/dev/null 2>&1 &
            until grep -q journal /proc/$(pgrep -x mount)/stack; do sleep 0.2; done
            """, within: 60)
        try await guest.run(
            """
            cd /run
            (echo \(card.address) >/sys/bus/pci/drivers/iopmem/unbind; touch unbound) \
                >/dev/null 2>&1 &
            while dd if=\(files.path) of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null; do
                sleep 0.2
            done
            sleep 2
            dmsetup resume journal
            until [ -e unbound ] && [ -e mounted ]; do sleep 0.2; done
            """, within: 60)
        let status = try await guest.run("cat /run/mounted").output
        #expect(status == "32", "the mount ended with \(status)")
        try await guest.run(
            "dmsetup remove --retry journal && ! grep -q iopmem /proc/iomem", within: 30)
    }

    /// The card is unplugged under a device's long-term pin.
    private func removeUnderRDMA(_ card: PCIFunction, _ machine: Machine) async throws {
        let guest = machine.guest
        try await machine.startSoftwareRDMA()
        let held = try await machine.create(on: "card0", "--mode devdax --size 16M --force")
        let command = "ib_write_bw -d rxe0 -s 65536 -n 1000000"
        try await guest.run(
            """
            cd /run
            setsid \(command) --mmap=\(held.path) >server.out 2>&1 &
            echo $! >server
            until [ -n "$(ss -Hltn 'sport = 18515')" ]; do sleep 0.1; done
            setsid stdbuf -oL \(command) 10.7.0.1 >client.out 2>&1 &
            until grep -q 'remote address' client.out; do sleep 0.1; done
            """, within: 60)
        async let unplugged: Void = machine.qmp.unplug("card0", within: 120)
        let waits = "\(Guest.kernelLog) | grep '\(held.dev): removal waits' | tail -n 1"
        try await guest.run(
            "cd /run; until \(waits) | grep \"ib_write_bw.$(cat server).\"; do sleep 0.5; done",
            within: 60)
        let warning = try await guest.run(waits).output
        #expect(warning.contains("for 512 pages"), "the log says \(warning)")
        // Mappings were taken away; the card itself, and the device's work on it, is there.
        try await guest.run(
            "kill -0 $(cat /run/server) && test -e /sys/bus/pci/devices/\(card.address)")
        try await guest.run("kill -KILL $(cat /run/server)")
        try await unplugged
        try await guest.run(
            """
            pkill -x ib_write_bw || true
            if grep iopmem /proc/iomem; then exit 1; fi
            """)
        try await Way.unplug.giveBack(card, machine)
    }
}
