// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Cards that a file in /etc/iopmem describes, and udev's part in it.
///
///     root complex ─┬─ slot0 ── card0   128 MiB   is unplugged, and plugged in again
///                   └─ slot1                      or here, where it is another card
@Suite("Coming back")
struct ComeBackTests {
    static let topology = Topology(
        .rootPort("slot0", reserve: 256, child: .card("card0", megabytes: 128)),
        .rootPort("slot1", reserve: 256, child: nil))

    @Test(
        "udev reserves the cards that files describe, and restore brings their namespaces back",
        arguments: Kernel.supported)
    func replugged(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            try await install(on: machine)
            let card = try await machine.function("card0").address
            let files = try await machine.step("a namespace is written down") {
                try await guest.run("iopmemctl bind \(card) --persist")
                let made = try await machine.create(
                    on: "card0", "--size 64M --name files --persist")
                try await guest.run(FileSystem.ext4.mount(made.path, at: "/run/files"))
                try await guest.run("seq 100000 >/run/files/numbers && umount /run/files")
                // Not written down, so this one does not come back.
                _ = try await machine.create(on: "card0", "--size 16M --name gone")
                try await guest.run("iopmemctl config check")
                return made
            }
            try await machine.step("it comes back after the card was plugged in again") {
                try await replug(into: "slot0", machine)
                try await isReserved(card, true, machine)
                try await comesBack(files, on: card, machine)
            }
            try await machine.step("and after the driver was loaded again") {
                try await guest.run("rmmod iopmem && modprobe iopmem && udevadm settle")
                // The kernel binds what is reserved by itself, without its namespaces.
                #expect(try await machine.list().namespaces.isEmpty)
                try await comesBack(files, on: card, machine)
            }
            try await machine.step("in another slot it is another card") {
                try await replug(into: "slot1", machine)
                let there = try await machine.function("card0").address
                #expect(there != card)
                try await isReserved(there, false, machine)
                _ = try await machine.refused(3, "iopmemctl config match \(there)")
                let all: Created = try await guest.run("iopmemctl restore -o json").json()
                #expect(all.namespaces.isEmpty)
            }
            try await machine.step("another card in its slot is refused, and not touched") {
                try await replug(into: "slot0", machine)
                let file = "/etc/iopmem/\(card).conf"
                try await guest.run(
                    """
                    iopmemctl unbind \(card)
                    sed -i 's/^id = .*/id = 1af4:1111/' \(file)
                    iopmemctl config check || [ $? -eq 1 ]
                    """)
                try await replug(into: "slot0", machine)
                try await isReserved(card, false, machine)
                let said = try await machine.refused(1, "iopmemctl restore \(card)")
                #expect(said.contains("its id is 1af4:1110, and not 1af4:1111"), "\(said)")
                try await guest.run("test ! -e /sys/bus/pci/devices/\(card)/driver")
                try await guest.run("sed -i 's/^id = .*/id = 1af4:1110/' \(file)")
                try await comesBack(files, on: card, machine)
            }
            try await machine.step("what is destroyed does not come back") {
                try await guest.run(
                    """
                    iopmemctl destroy files --yes --force
                    iopmemctl unbind \(card)
                    iopmemctl restore \(card)
                    """)
                #expect(try await machine.list().namespaces.isEmpty)
                try await guest.run("iopmemctl unbind \(card)")
            }
            try await machine.step("udev that lags behind is waited for") {
                try await createBehindUdev(on: card, machine)
            }
        }
    }

    /// What udev knows of the old namespace is not taken for the new one, which has its number.
    private func createBehindUdev(on card: String, _ machine: Machine) async throws {
        let old = try await machine.create(on: "card0", "--size 16M --name old")
        try await machine.guest.run(
            """
            udevadm settle
            pkill -STOP -x systemd-udevd
            echo \(card) >/sys/bus/pci/drivers/iopmem/unbind
            (sleep 5; pkill -CONT -x systemd-udevd) >/dev/null 2>&1 &
            iopmemctl create --device \(card) --size 16M --name new
            test /dev/iopmem/by-name/new -ef \(old.path)
            test ! -L /dev/iopmem/by-name/old
            iopmemctl unbind \(card) --revoke --yes
            """, within: 60)
    }

    /// What `make install` installs.
    private func install(on machine: Machine) async throws {
        try await machine.guest.run(
            """
            mkdir -p /run/prefix/sbin
            ln -s "$(command -v iopmemctl)" /run/prefix/sbin
            make -s -C \(Layout.repository) install-rules PREFIX=/run/prefix
            rm -rf /etc/iopmem
            udevadm control --reload
            """)
    }

    private func replug(into slot: String, _ machine: Machine) async throws {
        try await machine.qmp.unplug("card0")
        try await machine.plug(card: "card0", into: slot)
    }

    private func isReserved(_ card: String, _ wanted: Bool, _ machine: Machine) async throws {
        let override = try await machine.guest.run(
            "cat /sys/bus/pci/devices/\(card)/driver_override"
        ).output
        #expect(override == (wanted ? "iopmem" : "(null)"), "driver_override is \(override)")
    }

    /// What udev has systemd do; and again, which changes nothing.
    private func comesBack(_ files: Namespace, on card: String, _ machine: Machine) async throws {
        let guest = machine.guest
        for _ in 1...2 {
            let back: Created = try await guest.run("iopmemctl restore \(card) -o json").json()
            #expect(back.namespaces.map(\.identity) == [files.identity])
        }
        #expect(try await machine.list().namespaces.map(\.uuid) == [files.uuid])
        try await guest.run(
            """
            udevadm settle
            test /dev/iopmem/by-uuid/\(files.uuid) -ef \(files.path)
            test /dev/disk/by-id/iopmem-\(files.uuid) -ef \(files.path)
            test /dev/disk/by-path/pci-\(card)-iopmem-2:1 -ef \(files.path)
            test /dev/iopmem/by-path/pci-\(card)-iopmem-2:1 -ef \(files.path)
            mount -o dax=always /dev/iopmem/by-name/files /run/files
            seq 100000 | cmp - /run/files/numbers
            umount /run/files
            """)
    }
}
