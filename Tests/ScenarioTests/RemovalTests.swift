// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Taking the card away while everything on it is in use.
///
///     root complex ─┬─ slot0 ── card0   256 MiB   mounted file systems, and a disk under fio
///                   └─ nvme0                      reads into mapped files
@Suite("Removal")
struct RemovalTests {
    static let topology = Topology(
        .rootPort("slot0", reserve: 512, child: .card("card0", megabytes: 256)), .nvme("nvme0"))

    /// A way in which a card goes, and comes back.
    enum Way: CaseIterable {
        case unplug
        case sysfsRemove
        case sysfsUnbind
        case revokingUnbind

        func take(_ card: PCIFunction, _ machine: Machine) async throws {
            switch self {
            case .unplug:
                try await machine.qmp.unplug("card0")
            case .sysfsRemove:
                try await machine.guest.run(
                    "echo 1 >/sys/bus/pci/devices/\(card.address)/remove", within: 60)
            case .sysfsUnbind:
                try await machine.guest.run(
                    "echo \(card.address) >/sys/bus/pci/drivers/iopmem/unbind", within: 60)
            case .revokingUnbind:
                _ = try await machine.refused(4, "iopmemctl unbind \(card.address)")
                _ = try await machine.refused(1, "iopmemctl unbind \(card.address) --revoke")
                try await machine.guest.run(
                    "iopmemctl unbind \(card.address) --revoke --yes", within: 120)
            }
        }

        func giveBack(_ card: PCIFunction, _ machine: Machine) async throws {
            switch self {
            case .unplug:
                try await machine.plug(card: "card0", into: "slot0")
            case .sysfsRemove:
                try await machine.guest.run("echo 1 >/sys/bus/pci/rescan")
            case .sysfsUnbind, .revokingUnbind:
                break
            }
            try await machine.guest.run(
                "until [ -e /sys/bus/pci/devices/\(card.address)/resource ]; do udevadm settle; done",
                within: 60)
        }
    }

    @Test(
        "users get errors, the kernel stays quiet, and the card works again",
        arguments: Kernel.supported)
    func underLoad(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let card = try await machine.function("card0")
            for way in Way.allCases {
                try await machine.step("\(way), under load") {
                    try await remove(card, way, machine)
                }
            }
        }
    }

    private func remove(_ card: PCIFunction, _ way: Way, _ machine: Machine) async throws {
        let guest = machine.guest
        for fileSystem in FileSystem.allCases {
            let files = try await machine.create(on: "card0", "--size 80M --force")
            try await guest.run(
                """
                wipefs --quiet --all \(files.path)
                \(fileSystem.mount(files.path, at: "/run/\(fileSystem)"))
                cd /run/\(fileSystem)
                fallocate -l 16M mapped
                fallocate -l 4M streamed
                """)
        }
        let disk = try await machine.create(on: "card0", "--size 64M --force")
        let mapped = try await machine.create(on: "card0", "--size 2M --mode devdax --force")
        let stacked = try await machine.create(on: "card0", "--size max --force")
        try await guest.run(
            """
            wipefs --quiet --all \(disk.path) \(stacked.path)
            echo 0 $(blockdev --getsz \(stacked.path)) linear \(stacked.path) 0 |
                dmsetup create stacked
            """)
        let fileSystems = FileSystem.allCases.map { "\($0)" }
        // Nice, so that on an emulated processor the removal itself gets a turn.
        try await guest.run(
            """
            cd /run
            for files in \(fileSystems.joined(separator: " ")); do
                setsid nice -n 19 iopmem-guest scribble /run/$files/mapped >scribble-$files.out 2>&1 &
                setsid nice -n 19 iopmem-guest stream /dev/nvme0n1 /run/$files/streamed \\
                    >stream-$files.out 2>&1 &
            done
            setsid nice -n 19 iopmem-guest scribble \(mapped.path) >scribble-devdax.out 2>&1 &
            setsid nice -n 19 iopmem-guest stream /dev/nvme0n1 \(mapped.path) >stream-devdax.out 2>&1 &
            for engine in psync io_uring; do
                setsid nice -n 19 fio --name=$engine --filename=\(disk.path) --rw=randrw --bs=4k --direct=1 \\
                    --time_based --runtime=3600 --ioengine=$engine --iodepth=8 >$engine.out 2>&1 &
            done
            setsid nice -n 19 dd if=/dev/zero of=/dev/mapper/stacked bs=1M oflag=direct >dd.out 2>&1 &
            for files in devdax \(fileSystems.joined(separator: " ")); do
                until grep -q scribbling scribble-$files.out; do sleep 0.2; done
                until grep -q streaming stream-$files.out; do sleep 0.2; done
            done
            until [ "$(cat /sys/block/\(disk.dev)/stat | awk '{print $5}')" -gt 100 ]; do
                sleep 0.2
            done
            """, within: 300)

        let unload = try await guest.run("rmmod iopmem", status: 1)
        #expect(unload.errors.contains("in use"))
        try await way.take(card, machine)
        // Whatever used it ends by itself, fio long before its time: what could be taken
        // away, was.
        try await guest.run(
            """
            while pgrep -x 'fio|iopmem-guest|dd' >/dev/null; do sleep 0.2; done
            """, within: 60)
        for target in fileSystems + ["devdax"] {
            let streamed = try await guest.run("tail -n 1 /run/stream-\(target).out").output
            #expect(
                ["EFAULT", "EIO", "ENXIO"].contains(streamed) || streamed.isEmpty,
                "the peer's read into \(target) ended with \(streamed)")
        }
        for engine in ["psync", "io_uring"] {
            let said = try await guest.run("cat /run/\(engine).out").output
            #expect(said.contains("err= "), "fio with \(engine) said nothing: \(said)")
            #expect(!said.contains("err= 0"), "fio with \(engine) saw no error: \(said)")
        }
        try await guest.run(
            """
            for files in \(fileSystems.joined(separator: " ")); do umount /run/$files; done
            dmsetup remove --retry stacked
            if grep iopmem /proc/iomem || ls /dev/iopmem[0-9]*; then exit 1; fi
            """, within: 60)

        try await way.giveBack(card, machine)
        let again = try await machine.create(on: "card0", "--size 64M --force")
        try await guest.run(
            "fio --name=again --filename=\(again.path) --rw=write --bs=64k --size=16M --direct=1"
                + " --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal >/dev/null")
        try await guest.run("iopmemctl unbind \(card.address)")
    }

    @Test(
        "a pin delays a removal, whose log names the candidates, and nothing else does; a reset harms none",
        arguments: Kernel.supported)
    func pinned(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0")
            try await guest.run(
                """
                setsid iopmemctl monitor -o json >/run/events 2>/run/monitor.err &
                until grep -q following /run/monitor.err; do sleep 0.2; done
                """)
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
                let events: [Event] = try await guest.run(
                    "udevadm settle; cat /run/events"
                ).jsonLines()
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
                    setsid iopmem-guest pin \(mapped.path) >pin.out 2>&1 &
                    until grep -q pinned pin.out; do sleep 0.2; done
                    """)
                let said = try await machine.refused(4, "iopmemctl destroy \(mapped.dev) --yes")
                #expect(said.contains("512 pages of \(mapped.dev) are pinned"), "it said \(said)")
                try await guest.run(
                    """
                    rm -f /run/removed
                    (echo \(card.address) >/sys/bus/pci/drivers/iopmem/unbind; touch /run/removed) \
                        >/dev/null 2>&1 &
                    until \(waits) | grep 'for 512 pages.*iopmem-guest'; do sleep 0.5; done
                    test ! -e /run/removed
                    pkill -x iopmem-guest
                    until [ -e /run/removed ]; do sleep 0.2; done
                    """, within: 60)
            }
            try await machine.step("a mount that began fails, and the removal ends") {
                try await removeDuringMount(card, machine)
            }
            try await machine.step("resets under load, and everything can go afterwards") {
                try await resetUnderLoad(card, machine)
            }
        }
    }

    /// A line of `iopmemctl monitor -o json`; only what is looked at.
    private struct Event: Decodable {
        let event: String
        let dev: String
        let device: String
        let uuid: String?
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

    /// I/O and faults wait while the function is reset, and go on.
    private func resetUnderLoad(_ card: PCIFunction, _ machine: Machine) async throws {
        let guest = machine.guest
        let files = try await machine.create(on: "card0", "--size 128M --force")
        let disk = try await machine.create(on: "card0", "--size 64M --force")
        try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
        try await guest.run("fallocate -l 8M /run/files/mapped")
        try await guest.run(
            """
            cd /run
            setsid iopmem-guest scribble /run/files/mapped >scribble.out 2>&1 &
            scribbler=$!
            fio --name=reset --filename=\(disk.path) --rw=randwrite --bs=4k --size=32M \\
                --direct=1 --ioengine=io_uring --iodepth=8 --verify=crc32c \\
                --verify_fatal=1 --verify_state_save=0 >fio.out 2>&1 &
            fio=$!
            until grep -q scribbling scribble.out; do sleep 0.2; done
            for reset in 1 2 3 4 5 6; do
                echo 1 >/sys/bus/pci/devices/\(card.address)/reset
            done
            wait $fio || { cat fio.out; exit 1; }
            kill -0 $scribbler && kill $scribbler
            """, within: 120)
        let resets = try await guest.run("cat /sys/class/iopmem/\(files.region)/resets")
            .output
        #expect(resets == "6")
        try await guest.run("umount /run/files && iopmemctl unbind \(card.address)")
    }
}
