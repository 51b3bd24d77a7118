// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// What must not work, and must leave the machine as it was.
///
///     root complex ─┬─ card0   128 MiB
///                   ├─ small0    1 MiB   too small to be a region
///                   ├─ large0  512 MiB   takes a second to overwrite
///                   └─ nvme0             in use by its own driver
@Suite("Refusals")
struct RefusalTests {
    static let topology = Topology(
        .card("card0", megabytes: 128), .card("small0", megabytes: 1),
        .card("large0", megabytes: 512), .nvme("nvme0"))

    @Test(
        "bad requests are refused, with a reason, and change nothing", arguments: Kernel.supported)
    func badRequests(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            try await guest.run("modprobe iopmem")
            try await machine.step("devices that are not there or not suited") {
                let unknown = try await machine.refused(3, "iopmemctl bind 0000:7f:00.0")
                #expect(unknown.contains("0000:7f:00.0"))
                _ = try await machine.refused(64, "iopmemctl bind not-an-address")
                let small = try await machine.function("small0").address
                let said = try await machine.refused(6, "iopmemctl bind \(small)")
                #expect(said.contains("too small"), "no reason given: \(said)")
                try await guest.run("test ! -e /sys/bus/pci/devices/\(small)/driver")
                try await noOverride(small, machine)
            }
            try await machine.step("a drive that is in use keeps its driver") {
                let drive = try await machine.function("nvme0").address
                try await guest.run(
                    "mkfs.ext4 -q /dev/nvme0n1 && mkdir -p /run/drive && mount /dev/nvme0n1 /run/drive"
                )
                let said = try await machine.refused(4, "iopmemctl bind \(drive)")
                #expect(said.contains("/run/drive"), "the mount point is not named: \(said)")
                try await bound(drive, to: "nvme", machine)
                try await guest.run("umount /run/drive")
                // Not in use, but nothing on it can be a region: the old driver comes back.
                _ = try await machine.refused(6, "iopmemctl bind \(drive) --force --yes")
                try await bound(drive, to: "nvme", machine)
                try await noOverride(drive, machine)
                try await guest.run(
                    "udevadm settle && dd if=/dev/nvme0n1 of=/dev/null bs=1M count=1")
            }
            try await guest.run("iopmemctl bind \(card)")
            let region = try await machine.list().regions
            try await machine.step("sizes and places that cannot be") {
                for options in ["--size 0", "--size 1", "--size 3M", "--size 129M", "--size 1T"] {
                    let outcome = try await guest.run(
                        "iopmemctl create --device \(card) \(options)", status: nil)
                    #expect([1, 6, 64].contains(outcome.status), "\(options): \(outcome.status)")
                    #expect(!outcome.errors.isEmpty, "\(options): no reason given")
                }
                #expect(try await machine.list().regions == region)
                #expect(try await machine.list().namespaces.isEmpty)
            }
            try await rawRequests(machine)
            try await machine.step("held namespaces and modules") {
                try await heldObjects(machine, card: card)
            }
            try await machine.step("a card that does not answer is not said to be wiped") {
                try await wipeUnanswered(machine, card: card)
            }
            try await machine.step("overwriting all of a large one is seen, and can be ended") {
                try await wipeLarge(machine)
            }
            try await machine.step("the module goes and comes back") {
                try await guest.run("iopmemctl unbind \(card)")
                try await guest.run("test ! -e /sys/bus/pci/devices/\(card)/driver")
                try await guest.run("modprobe -r iopmem && test ! -e /dev/iopmem-control")
                try await guest.run("! grep -q iopmem /proc/iomem")
                let again = try await machine.create(on: "card0", "--size 16M")
                #expect(again.dev == "iopmem0n1")
            }
        }
    }

    /// The ioctl itself, past all that the tool checks.
    private func rawRequests(_ machine: Machine) async throws {
        try await machine.step("wrong ioctls") {
            let cases = [
                ("size=40", "EINVAL"), ("size=0", "EINVAL"),
                ("size=400 tail=1", "E2BIG"), ("flags=0x80", "EINVAL"),
                ("reserved=1", "EINVAL"), ("mode=0", "EINVAL"), ("mode=77", "EINVAL"),
                ("length=0", "EINVAL"), ("length=1048576", "EINVAL"),
                ("flags=1 offset=4096", "EINVAL"), ("length=0x40000000", "ENOSPC"),
                ("flags=1 offset=0x8000000", "ERANGE"),
                ("flags=1 offset=0xffffffffffe00000", "ERANGE"), ("flags=2 id=0", "EINVAL"),
                ("flags=2 id=5000", "EINVAL"), ("uuid=0", "EINVAL"), ("name=iopmem7n1", "EINVAL"),
                ("name=a/b", "EINVAL"), ("readonly=1", "EFAULT"),
            ]
            let script = cases.map { "iopmem-guest create /dev/iopmem0 \($0.0)" }
            let answers = try await machine.guest.run(script.joined(separator: "; ")).output
                .split(separator: "\n")
            try #require(answers.count == cases.count)
            for (answer, (fields, errno)) in zip(answers, cases) {
                let words = answer.split(separator: " ", maxSplits: 1)
                #expect(words.first == errno[...], "\(fields): \(answer)")
            }
            #expect(try await machine.list().namespaces.isEmpty)
            // A longer struct with nothing in its tail is a newer caller, and welcome.
            let newer = try await machine.guest.run("iopmem-guest create /dev/iopmem0 size=400")
                .output
            #expect(newer.hasPrefix("OK"))
            let overlapping = try await machine.guest.run(
                "iopmem-guest create /dev/iopmem0 flags=1 offset=0 uuid=2"
            ).output
            #expect(overlapping.hasPrefix("EBUSY "), "\(overlapping)")
            let twice = try await machine.guest.run(
                "iopmem-guest create /dev/iopmem0 uuid=9; iopmem-guest create /dev/iopmem0 uuid=9"
            ).output.split(separator: "\n")
            #expect(twice.count == 2 && twice[0].hasPrefix("OK") && twice[1].hasPrefix("EEXIST "))
            try await machine.guest.run("iopmemctl destroy --all --yes")
        }
    }

    private func heldObjects(_ machine: Machine, card: String) async throws {
        let guest = machine.guest
        let namespace = try await machine.create(on: "card0", "--size 64M")
        try await guest.run(FileSystem.ext4.mount(namespace.path, at: "/run/held"))
        try await guest.run("fallocate -l 4M /run/held/file")
        for command in ["destroy \(namespace.dev) --yes --force", "unbind \(card)"] {
            let said = try await machine.refused(4, "iopmemctl \(command)")
            #expect(said.contains("/run/held"), "the mount point is not named: \(said)")
        }
        try await guest.run("! rmmod iopmem")
        try await guest.run(
            """
            exec 3< <(exec iopmem-guest hold /run/held/file)
            holder=$!
            read -r word <&3
            [ "$word" = mapped ]
            umount --lazy /run/held
            status=0
            iopmemctl destroy \(namespace.dev) --yes --force || status=$?
            kill $holder
            [ $status -eq 4 ]
            """)
        try await guest.run(
            """
            for try in 1 2 3 4 5 6 7 8; do
                iopmemctl destroy \(namespace.dev) --yes --force && exit 0
                udevadm settle
            done
            exit 1
            """)
        try await machine.guest.run(
            """
            setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
                for node in /dev/iopmem-control /dev/iopmem0; do
                    if (exec 3<$node) 2>/dev/null; then echo "$node opened"; exit 1; fi
                done
                iopmemctl list -o json >/dev/null
                iopmemctl create --device \(card) --size 2M
                [ $? -eq 5 ]'
            """)
    }

    /// Its memory is switched off, as that of a card whose link is gone.
    private func wipeUnanswered(_ machine: Machine, card: String) async throws {
        let namespace = try await machine.create(on: "card0", "--size 4M --mode devdax")
        try await machine.guest.run("setpci -s \(card) COMMAND=0:2")
        let said = try await machine.refused(1, "iopmemctl destroy \(namespace.dev) --zero --yes")
        #expect(said.contains("does not answer, so that nothing on it can be overwritten"))
        #expect(try await machine.list().namespaces.map(\.uuid) == [namespace.uuid])
        try await machine.guest.run(
            "setpci -s \(card) COMMAND=2:2 && iopmemctl destroy \(namespace.dev) --zero --yes")
    }

    /// By killing who does it, and by taking the card away; else its end is waited for.
    private func wipeLarge(_ machine: Machine) async throws {
        let guest = machine.guest
        let card = try await machine.function("large0").address
        func create() async throws -> Namespace {
            try await machine.create(on: "large0", "--size 480M --mode devdax")
        }
        /// Begins to overwrite it, and returns when a part of it is done.
        func begin(_ namespace: Namespace) -> String {
            """
            iopmemctl destroy \(namespace.dev) --zero --yes 2>/run/said &
            done=0
            until [ $done -gt 0 ]; do read -r done </sys/class/iopmem/\(namespace.dev)/wiped; done
            [ $done -lt \(namespace.size) ]
            """
        }
        let seen = try await create()
        let shown = try await guest.run(
            "script -qec 'iopmemctl destroy \(seen.dev) --zero --yes' /dev/null"
        ).output
        #expect(
            shown.contains(
                try Regex("overwrite \(seen.dev) [0-9]+%  [0-9.]+ MiB, [0-9.]+ .iB/s, ")),
            "\(shown)")
        let killed = try await create()
        try await guest.run(
            """
            \(begin(killed))
            kill -KILL $!
            while [ -e /sys/class/iopmem/\(killed.dev) ]; do sleep 0.1; done
            dmesg | grep '\(killed.dev): the program was [k]illed: [0-9]* bytes were overwritten'
            """, within: 60)
        let removed = try await create()
        let status = try await guest.run(
            """
            \(begin(removed))
            echo \(card) >/sys/bus/pci/drivers/iopmem/unbind
            status=0
            wait $! || status=$?
            cat /run/said >&2
            exit $status
            """, status: 1, within: 60)
        #expect(status.errors.contains("the device is taken away while its memory was overwritten"))
        let dirty = try await create()
        try await guest.run("iopmemctl unbind \(dirty.device) --revoke --yes")
    }

    private func bound(_ device: String, to driver: String, _ machine: Machine) async throws {
        let link = try await machine.guest.run(
            "basename $(readlink /sys/bus/pci/devices/\(device)/driver)"
        ).output
        #expect(link == driver)
    }

    private func noOverride(_ device: String, _ machine: Machine) async throws {
        let text = try await machine.guest.run(
            "cat /sys/bus/pci/devices/\(device)/driver_override"
        ).output
        #expect(text == "(null)" || text.isEmpty, "driver_override is left at \(text)")
    }
}
