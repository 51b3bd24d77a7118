// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// A Debian with our packages installed, which boots by itself: nothing is there but what apt put
/// there, and nobody calls iopmemctl but udev, systemd and an administrator.
///
///     root complex ─┬─ slot0 ── card0   128 MiB   is unplugged, and plugged in again
///                   ├─ slot1                      or here
///                   └─ cmb0              64 MiB   an NVMe controller, whose driver the initramfs has
@Suite("Installed packages")
struct InstalledTests {
    static let topology = Topology(
        .rootPort("slot0", reserve: 256, child: .card("card0", megabytes: 128)),
        .rootPort("slot1", reserve: 256, child: nil),
        .device("cmb0", model: "nvme,serial=cmb0,cmb_size_mb=64,legacy-cmb=on"))

    /// Debian 12 with its own kernel; Debian 13 with the newest one of its backports where asked for.
    static let kernels = Kernel.supported.filter { kernel in
        kernel.series == "6.1"
            || kernel.series == "7.2" && Setting.number("IOPMEM_ALL_DEBIANS") == 1
    }

    @Test(
        "namespaces come back at boot and hot plug, before what is mounted on them",
        arguments: kernels)
    func comesBack(on kernel: Kernel) async throws {
        let storage = try Storage.lasting("installed-\(kernel.series)")
        let files = try await firstBoot(on: kernel, storage)
        try await secondBoot(on: kernel, storage, files)
        storage.remove()
    }

    private func boot<Result: Sendable>(
        _ kernel: Kernel, _ storage: Storage, _ body: (Machine) async throws -> Result
    ) async throws -> Result {
        try await Machine.run(
            Self.topology, kernel: kernel, name: "installed", preparation: .installed,
            storage: storage
        ) { machine in
            let state = try await machine.guest.run(
                "systemctl is-system-running --wait || systemctl --failed", within: 600
            ).output
            #expect(state == "running")
            return try await body(machine)
        }
    }

    // MARK: - The first boot

    private func firstBoot(on kernel: Kernel, _ storage: Storage) async throws -> Namespace {
        try await boot(kernel, storage) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            let controller = try await machine.function("cmb0").address
            try await machine.step("the packages have brought everything") {
                try await guest.run(
                    """
                    iopmemctl doctor
                    test -e /usr/share/man/man8/iopmemctl-create.8.gz
                    test -e /usr/share/bash-completion/completions/iopmemctl
                    modinfo iopmem
                    """)
                let signer = try await guest.run("modinfo --field signer iopmem").output
                #expect(signer == "DKMS module signing key")
            }
            let files = try await machine.step("an administrator makes namespaces to keep") {
                try await guest.run("iopmemctl bind \(card) --persist")
                let made: Created = try await guest.run(
                    "iopmemctl create --device \(card) --size 64M --name files --persist -o json"
                ).json()
                try await guest.run(
                    """
                    mkfs.ext4 -q -b 4096 /dev/iopmem/by-name/files
                    mkdir /srv/files
                    echo '/dev/iopmem/by-name/files /srv/files ext4 \
                    dax=always,nofail,x-systemd.requires=iopmem-restore.service,\
                    x-systemd.device-timeout=10min 0 0' >>/etc/fstab
                    systemctl daemon-reload
                    systemctl start srv-files.mount
                    seq 100000 >/srv/files/numbers
                    """)
                return try #require(made.namespaces.first)
            }
            let scratch = try await machine.step("one that is made anew when it is empty") {
                let made: Created = try await guest.run(
                    "iopmemctl create --device \(card) --size 16M --name scratch --persist -o json"
                ).json()
                try await guest.run(
                    """
                    sed -i 's/^name = scratch$/&\\nmkfs = ext4/' /etc/iopmem/*.conf
                    iopmemctl config check
                    """)
                return try #require(made.namespaces.first)
            }
            try await machine.step("and one for other machines") {
                try await guest.run(
                    """
                    iopmemctl create --device \(card) --size 32M --mode raw --name lent --persist
                    iopmemctl share lent
                    """)
            }
            try await machine.step("what was done is in the journal") {
                let journal = try await guest.run("journalctl -t iopmemctl -o json").output
                #expect(journal.contains("created \(files.dev)"))
                #expect(journal.contains(files.uuid))
            }
            try await machine.step("a driver of the initramfs has a card that is wanted") {
                let driver = "basename $(readlink /sys/bus/pci/devices/\(controller)/driver)"
                #expect(try await guest.run(driver).output == "nvme")
                let said = try await guest.run(
                    "iopmemctl create --device \(controller) --name buffer --persist --force")
                #expect(said.errors.contains("update-initramfs -u"), "\(said.errors)")
                try await guest.run("update-initramfs -u", within: 900)
            }
            try await machine.step("a newer tool is installed under a mounted namespace") {
                // From here on the initramfs stays as it is: a guest takes minutes to make one.
                try await guest.run(
                    """
                    echo update_initramfs=no >/etc/initramfs-tools/update-initramfs.conf
                    dpkg-deb --raw-extract /packages/iopmem-tools_*.deb /tmp/newer
                    sed -i 's/^Version: .*/&+newer/' /tmp/newer/DEBIAN/control
                    dpkg-deb -Znone --build /tmp/newer /tmp/newer.deb
                    dpkg --install /tmp/newer.deb
                    dpkg-query --show --showformat '${Version} ${db:Status-Status}' iopmem-tools |
                        grep -x '.*+newer installed'
                    rm -r /tmp/newer /tmp/newer.deb
                    seq 100000 | cmp - /srv/files/numbers
                    """, within: 400)
                #expect(try await machine.list().namespaces.count == 4)
            }
            // A guest takes many minutes to compile it, so not everywhere.
            if Setting.number("IOPMEM_ALL_DEBIANS") == 1 {
                try await machine.step("the driver is installed anew under a mounted namespace") {
                    try await guest.run(
                        """
                        dpkg --install /packages/iopmem-dkms_*.deb
                        dkms status iopmem | grep "$(uname -r).*installed"
                        seq 100000 | cmp - /srv/files/numbers
                        """, within: 3600)
                    #expect(try await machine.list().namespaces.count == 4)
                }
            }
            try await machine.step("the card is unplugged, and plugged in again") {
                try await guest.run("umount /srv/files")
                try await machine.qmp.unplug("card0")
                try await machine.plug(card: "card0", into: "slot0")
                try await isThere(files, machine)
                try await isShared(machine)
            }
            try await machine.step("into another slot, which its file is told of") {
                for slot in ["slot1", "slot0"] {
                    let port = try await machine.function(slot).address.dropFirst("0000:".count)
                    try await guest.run(
                        """
                        sed -i 's,^path = .*,path = \(port)/00.0,' /etc/iopmem/\(card).conf
                        umount /srv/files
                        """)
                    try await machine.qmp.unplug("card0")
                    try await machine.plug(card: "card0", into: slot)
                    try await isThere(files, machine)
                    let there = try await machine.function("card0").address
                    #expect((there == card) == (slot == "slot0"))
                    #expect(try await machine.list().namespace(files.dev).device == there)
                }
                try await guest.run("iopmemctl config check")
            }
            // The power goes without a farewell.
            try await guest.run("sync")
            try Storage.overwrite(
                machine.storage.card("card0"), offset: scratch.offset,
                with: [UInt8](repeating: 0, count: scratch.size))
            return files
        }
    }

    /// Nobody has called iopmemctl restore.
    private func isThere(_ files: Namespace, _ machine: Machine) async throws {
        try await machine.guest.run(
            """
            iopmemctl wait files --timeout 120
            test /dev/disk/by-id/iopmem-\(files.uuid) -ef /dev/iopmem/by-name/files
            way=$(udevadm info -q property --property=ID_PATH --value /dev/iopmem/by-name/files)
            test /dev/disk/by-path/$way -ef /dev/iopmem/by-name/files
            systemctl start srv-files.mount
            seq 100000 | cmp - /srv/files/numbers
            """, within: 200)
    }

    /// Nobody has called iopmemctl share; and what is exported is really the namespace that came.
    private func isShared(_ machine: Machine) async throws {
        try await machine.guest.run(
            """
            openers() { cat $(dirname $(grep -lx lent /sys/class/iopmem/*/name))/openers; }
            until [ "$(openers)" = 1 ]; do sleep 0.5; done
            iopmemctl share | grep '127.0.0.1.*4420'
            """, within: 200)
    }

    // MARK: - The second boot

    private func secondBoot(
        on kernel: Kernel, _ storage: Storage, _ files: Namespace
    ) async throws {
        try await boot(kernel, storage) { machine in
            let guest = machine.guest
            let controller = try await machine.function("cmb0").address
            try await machine.step("all is there as it was, and mounted") {
                try await guest.run(
                    """
                    findmnt --noheadings --output OPTIONS /srv/files | grep dax=always
                    seq 100000 | cmp - /srv/files/numbers
                    test -b /dev/iopmem/by-name/buffer
                    """)
                #expect(try await machine.list().namespaces.contains { $0.uuid == files.uuid })
            }
            try await machine.step("what was empty has a file system") {
                try await guest.run(
                    "blkid --probe --output export /dev/iopmem/by-name/scratch | grep -x TYPE=ext4")
            }
            try await machine.step("what other machines use is exported again") {
                try await isShared(machine)
                try await guest.run(
                    """
                    systemctl --failed --quiet | (! grep iopmem)
                    iopmemctl unshare lent
                    test -z "$(ls /etc/iopmem/shares)"
                    """)
            }
            try await machine.step("the machine sleeps, and each namespace says what that may mean")
            {
                // The kernel stops every device, waits for 5 s and wakes them up; but a file system of
                // the host's does not wake up.
                try await guest.run("umount /srv/files /boot && modprobe -r 9p 9pnet_virtio")
                try await machine.startMonitor()
                try await guest.run(
                    """
                    echo devices >/sys/power/pm_test
                    echo freeze >/sys/power/state
                    echo none >/sys/power/pm_test
                    """, within: 120)
                let there = try await machine.list().namespaces
                let told = try await machine.events().filter { $0.event == "resumed" }
                #expect(Set(told.map(\.dev)) == Set(there.map(\.dev)))
                try await guest.run(
                    """
                    kill $(pidof iopmemctl)
                    systemctl start srv-files.mount
                    seq 100000 | cmp - /srv/files/numbers
                    """, within: 200)
            }
            try await machine.step("no driver of the initramfs was faster") {
                let probed = try await guest.run(
                    "dmesg | grep 'nvme nvme[0-9]*: pci function \(controller)' || true"
                ).output
                #expect(probed.isEmpty, "\(probed)")
            }
            try await machine.step("the packages go, and say what stays bound") {
                let said = try await guest.run(
                    "dpkg --remove iopmem-tools iopmem-dkms 2>&1", within: 400
                ).output
                #expect(said.contains("\(controller) is still bound"), "\(said)")
                let left = try await guest.run(
                    """
                    find / -xdev -path /packages -prune -o -path /sys -prune -o -path /var/lib/dpkg \
                    -prune -o -path /var/log -prune -o -name '*iopmem*' -print
                    """, within: 100
                ).output
                #expect(left.split(separator: "\n").allSatisfy { $0.hasPrefix("/etc/") }, "\(left)")
                // What was mounted goes on.
                try await guest.run("seq 100000 | cmp - /srv/files/numbers; umount /srv/files")
            }
        }
    }
}
