// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Function resets and errors of the link while everything on the card is in use.
///
///     root complex ─── slot0 ── card0   256 MiB   mounted file systems, mappings, disks under fio
@Suite("Resets")
struct ResetTests {
    // Behind a port of its own a function can be reset, by its bus.
    static let topology = Topology(
        .rootPort("slot0", reserve: 512, child: .card("card0", megabytes: 256))
    ).inParallel()
    /// How often, by root and then by the kernel, which recovers from an error.
    static let resets = 6
    static let recoveries = 2

    /// Mounted at /run; the last one by way of dm-linear.
    private static let fileSystems = ["ext4", "xfs", "stacked"]

    /// Of those that `work` started. (`kill` with many processes succeeds if one of them lives.)
    private static let eachLives = """
        for pid in $(cat jobs scribblers); do
            kill -0 $pid || { tail -n 5 *.out >&2; exit 1; }
        done
        """

    @Test("I/O and faults wait while the function is reset, and go on", arguments: Kernel.supported)
    func reset(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let card = try await machine.function("card0")
            let region = try await machine.step("everything is used") {
                try await work(machine)
            }
            try await machine.step("\(Self.resets) resets") {
                try await machine.guest.run(
                    """
                    cd /run
                    for reset in $(seq \(Self.resets)); do
                        echo 1 >/sys/bus/pci/devices/\(card.address)/reset
                    done
                    # None of it failed so far.
                    \(Self.eachLives)
                    """, within: 120)
            }
            try await machine.step(
                "\(Self.recoveries) fatal errors of the link, and one of a transfer"
            ) {
                try await machine.report(.completionTimeout, by: "slot0")
                try await recovered(machine, times: 1)
                for recovery in 1...Self.recoveries {
                    try await machine.report(.dataLinkProtocol, by: "slot0")
                    try await recovered(machine, times: 1 + recovery)
                }
                let resets = try await machine.guest.run("cat /sys/class/iopmem/\(region)/resets")
                #expect(resets.output == "\(Self.resets + Self.recoveries)")
                try await machine.guest.run("cd /run; \(Self.eachLives)")
            }
            try await machine.step("nobody noticed but those who listen") {
                try await judge(machine)
            }
            try await machine.guest.run(
                """
                cd /run
                umount \(Self.fileSystems.joined(separator: " "))
                dmsetup remove --retry stack-files
                dmsetup remove --retry stack-disk
                """)
            try await machine.step("a reset, and an error, while a revocation waits for a pin") {
                try await resetDuringRevocation(of: card, machine)
            }
        }
    }

    /// Both come to an end, and the bus stays usable, though nothing can be paused: the revocation holds
    /// the lock for that until the pin ends.
    private func resetDuringRevocation(of card: PCIFunction, _ machine: Machine) async throws {
        let guest = machine.guest
        let mapped = try #require(try await machine.list().namespaces.first { $0.mode == "devdax" })
        try await guest.run(
            """
            cd /run
            setsid iopmem-guest pin \(mapped.path) >pin.out 2>&1 &
            until grep -q pinned pin.out; do sleep 0.2; done
            (iopmemctl unbind \(card.address) --revoke --yes; touch unbound) >/dev/null 2>&1 &
            until \(Guest.kernelLog) | grep -q '\(mapped.dev): removal waits'; do sleep 0.5; done
            """, within: 60)
        try await guest.run(
            "echo 1 >/sys/bus/pci/devices/\(card.address)/reset && test ! -e /run/unbound",
            within: 60)
        try await machine.report(.dataLinkProtocol, by: "slot0")
        try await recovered(machine, times: 2 + Self.recoveries)
        try await guest.run("echo 1 >/sys/bus/pci/rescan && test ! -e /run/unbound", within: 30)
        try await guest.run(
            """
            test $(dmesg | grep -c '[d]oes not wait: somebody creates or destroys') = 2
            pkill -x iopmem-guest
            until [ -e /run/unbound ]; do sleep 0.2; done
            test ! -e /sys/bus/pci/devices/\(card.address)/driver
            """, within: 60)
        let again = try await machine.create(on: "card0", "--size 16M --force")
        try await guest.run("iopmemctl verify \(again.path) --size 4M --force --yes", within: 60)
        try await guest.run("iopmemctl unbind \(card.address)")
    }

    /// Waits until the kernel has recovered from so many errors.
    private func recovered(_ machine: Machine, times: Int) async throws {
        try await machine.guest.run(
            """
            until test $(dmesg | grep -c 'device [r]ecovery successful') -ge \(times); do sleep 0.2; done
            ! dmesg | grep 'device [r]ecovery failed'
            """, within: 60)
    }

    // The kernel gives up below a bridge where anybody has no driver that knows of errors.
    static let unrecoverable = Topology(
        .switch("sw0", .card("card0", megabytes: 64), .edu("edu0")))

    @Test("I/O fails where the kernel cannot recover the link", arguments: Kernel.supported)
    func failedRecovery(on kernel: Kernel) async throws {
        try await scenario(Self.unrecoverable, on: kernel) { machine in
            let card = try await machine.function("card0")
            let guest = machine.guest
            let disk = try await machine.create(on: "card0", "--size 16M")
            try await machine.step("the link fails, and the kernel does not recover") {
                try await guest.run(
                    """
                    cd /run
                    setsid sh -c 'while dd if=\(disk.path) of=/dev/null bs=1M iflag=direct; do :; done
                        touch over' >dd.out 2>&1 &
                    sleep 1
                    ! test -e over
                    """)
                try await machine.report(.dataLinkProtocol, by: "sw0-root")
                try await guest.run(
                    "until dmesg | grep -q 'device [r]ecovery failed'; do sleep 0.2; done",
                    within: 60)
            }
            try await machine.step("who waits is told, sooner or later") {
                // 90 s, where the kernel says nothing. A task counts as hung after 120.
                let output = try await machine.idling {
                    try await guest.run(
                        """
                        until test -e /run/over; do sleep 1; done
                        cat /run/dd.out
                        dmesg | grep '[d]id not recover from the error of the link'
                        """, within: 118)
                }
                #expect(output.output.contains("Input/output error"))
            }
            let bridge = try await machine.function("sw0")
            try await machine.step("behind a bridge that was reset, nothing is bound") {
                try await guest.run(
                    """
                    echo 1 >/sys/bus/pci/devices/\(card.address)/remove
                    test ! -e \(disk.path)
                    echo 1 >/sys/bus/pci/rescan
                    if iopmemctl bind \(card.address) 2>/run/bind.err; then exit 1; fi
                    cat /run/bind.err
                    grep -q 'the bridge \(bridge.address) above .* forwards no memory accesses' /run/bind.err
                    test ! -e /sys/bus/pci/devices/\(card.address)/driver
                    """)
            }
            try await machine.step("removed with the bridge and found again, it works") {
                try await guest.run(
                    """
                    echo 1 >/sys/bus/pci/devices/\(bridge.address)/remove
                    echo 1 >/sys/bus/pci/rescan
                    """)
                let again = try await machine.create(on: "card0", "--size 16M --force")
                try await guest.run(
                    "iopmemctl verify \(again.path) --size 4M --force --yes", within: 60)
            }
        }
    }

    static let neighbours = Topology(
        .switch("sw0", .card("card0", megabytes: 64), .card("card1", megabytes: 64)))

    @Test("two cards are reset at once, by one task", arguments: Kernel.supported)
    func together(on kernel: Kernel) async throws {
        try await scenario(Self.neighbours, on: kernel) { machine in
            let cards = [
                try await machine.create(on: "card0", "--size 16M"),
                try await machine.create(on: "card1", "--size 16M"),
            ]
            let root = try await machine.function("sw0-root")
            // PF_MEMALLOC_NOIO (include/linux/sched.h), which must not stay with who asked for it.
            try await machine.guest.run(
                """
                flags() { cut -d ' ' -f 9 /proc/$$/stat; }
                before=$(flags)
                for time in 1 2 3; do
                    echo 1 >/sys/bus/pci/devices/\(root.address)/reset_subordinate
                done
                test $(($(flags) & 0x80000)) = $((before & 0x80000))
                test $((before & 0x80000)) = 0
                cat \(cards.map { "/sys/class/iopmem/\($0.region)/resets" }.joined(separator: " ")) |
                    sort | uniq -c | grep -x ' *2 3'
                """, within: 60)
            for card in cards {
                try await machine.guest.run(
                    "iopmemctl verify \(card.path) --size 4M --force --yes", within: 60)
            }
        }
    }

    /// Starts what uses the card; the region's name.
    private func work(_ machine: Machine) async throws -> String {
        let guest = machine.guest
        try await machine.startMonitor()
        let ext4 = try await machine.create(on: "card0", "--size 64M")
        let xfs = try await machine.create(on: "card0", "--size 80M")
        let disk = try await machine.create(on: "card0", "--size 32M")
        let stack = try await machine.create(on: "card0", "--size 48M")
        let devdax = try await machine.create(on: "card0", "--size 2M --mode devdax")
        // Each writes to a place of its own and verifies it, again and again until it is told to stop.
        let jobs = [
            ("psync", disk.path, "0"), ("io_uring", disk.path, "16M"),
            ("libaio", "/dev/mapper/stack-disk", "0"),
        ].map { engine, disk, offset in
            """
            setsid nice -n 19 sh -c 'until test -e stop; do
                fio --name=\(engine) --filename=\(disk) --offset=\(offset) --size=8M --rw=randwrite \
                    --bs=4k --direct=1 --ioengine=\(engine) --iodepth=8 --verify=crc32c \
                    --verify_fatal=1 --verify_state_save=0 >\(engine).out 2>&1 || exit 1
                touch \(engine).once
            done
            touch \(engine).done' &
            echo $! >>jobs
            """
        }
        try await guest.run(
            """
            echo 0 65536 linear \(stack.path) 0 | dmsetup create stack-files
            echo 0 32768 linear \(stack.path) 65536 | dmsetup create stack-disk
            \(FileSystem.ext4.mount(ext4.path, at: "/run/ext4"))
            \(FileSystem.xfs.mount(xfs.path, at: "/run/xfs"))
            \(FileSystem.ext4.mount("/dev/mapper/stack-files", at: "/run/stacked"))
            cd /run
            for target in \(Self.fileSystems.joined(separator: " ")); do
                fallocate -l 8M $target/mapped
                setsid nice -n 19 iopmem-guest scribble $target/mapped >scribble-$target.out 2>&1 &
                echo $! >>scribblers
            done
            setsid nice -n 19 iopmem-guest scribble \(devdax.path) >scribble-devdax.out 2>&1 &
            echo $! >>scribblers
            for target in \(Self.fileSystems.joined(separator: " ")) devdax; do
                until grep -q scribbling scribble-$target.out; do sleep 0.2; done
            done
            \(jobs.joined(separator: "\n"))
            for engine in psync io_uring libaio; do
                until test -e $engine.once; do sleep 0.2; done
            done
            """, within: 300)
        return disk.region
    }

    private func judge(_ machine: Machine) async throws {
        let guest = machine.guest
        try await guest.run(
            """
            cd /run
            # Once more, so that each has verified what it wrote during the resets.
            rm *.once
            for engine in psync io_uring libaio; do
                until test -e $engine.once; do
                    \(Self.eachLives)
                    sleep 0.2
                done
            done
            touch stop
            for engine in psync io_uring libaio; do
                until test -e $engine.done; do sleep 0.2; done
            done
            for scribbler in $(cat scribblers); do kill $scribbler; done
            """, within: 300)
        // The contents may be gone, which each user of a namespace may want to know.
        let namespaces = try await machine.list().namespaces
        let told = try await machine.events().filter { $0.event == "reset" }
        for namespace in namespaces {
            let count = told.count { $0.dev == namespace.dev && $0.uuid == namespace.uuid }
            #expect(count == Self.resets + Self.recoveries, "\(namespace.dev) had \(count) events")
        }
        #expect(told.count == (Self.resets + Self.recoveries) * namespaces.count)
    }
}
