// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Taking the card away while everything on it is in use.
///
///     root complex ─┬─ slot0 ── card0   256 MiB   mounted file systems, disks under fio
///                   └─ nvme0                      reads into what is mapped
@Suite("Removal")
struct RemovalTests {
    static let topology = Topology(
        .rootPort("slot0", reserve: 512, child: .card("card0", megabytes: 256)), .nvme("nvme0")
    ).inParallel()

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
            let namespaces = try await machine.step("namespaces that are written down") {
                try await fill(card, machine)
            }
            for way in kernel.share(of: Way.allCases) {
                try await machine.step("\(way), under load") {
                    try await work(on: namespaces, machine)
                    try await remove(card, way, from: namespaces, machine)
                    try await judge(machine)
                }
                try await machine.step("\(way): they come back with what was on them") {
                    try await way.giveBack(card, machine)
                    try await comeBack(namespaces, on: card, machine)
                }
            }
            try await machine.guest.run(
                """
                cd /run
                umount \(Self.fileSystems)
                dmsetup remove --retry stack-files
                dmsetup remove --retry stack-disk
                iopmemctl unbind \(card.address)
                """)
        }
    }

    /// Mounted at /run: on a namespace each, and on one by way of dm-linear, where the driver knows no
    /// file system by its disk.
    private static let fileSystems = "ext4 xfs stacked"
    /// What is mapped, and fio's jobs.
    private static let mapped = ["ext4", "xfs", "stacked", "devdax"]
    private static let engines = ["psync", "io_uring", "libaio"]
    /// Where in the region nothing is, in bytes; 4 MiB.
    private static let free = 248 << 20

    /// What is on the card, for all removals.
    private struct Namespaces {
        let ext4, xfs, disk, stack, devdax: Namespace

        var all: [Namespace] { [ext4, xfs, disk, stack, devdax] }

        /// A file system of 32 MiB and a disk, through device mapper.
        var stacking: String {
            """
            echo 0 65536 linear \(stack.path) 0 | dmsetup create stack-files
            echo 0 32768 linear \(stack.path) 65536 | dmsetup create stack-disk
            """
        }
    }

    private func fill(_ card: PCIFunction, _ machine: Machine) async throws -> Namespaces {
        let guest = machine.guest
        try await guest.run(
            "rm -rf /etc/iopmem && modprobe iopmem && iopmemctl bind \(card.address) --persist")
        func create(_ options: String) async throws -> Namespace {
            try await machine.create(on: "card0", "\(options) --persist")
        }
        let namespaces = Namespaces(
            ext4: try await create("--size 64M"), xfs: try await create("--size 80M"),
            disk: try await create("--size 32M"), stack: try await create("--size 48M"),
            devdax: try await create("--size 2M --mode devdax"))
        try await guest.run(
            """
            \(namespaces.stacking)
            \(FileSystem.ext4.mount(namespaces.ext4.path, at: "/run/ext4"))
            \(FileSystem.xfs.mount(namespaces.xfs.path, at: "/run/xfs"))
            \(FileSystem.ext4.mount("/dev/mapper/stack-files", at: "/run/stacked"))
            cd /run
            for files in \(Self.fileSystems); do
                dd if=/dev/urandom of=$files/synced bs=1M count=1 conv=fsync
                fallocate -l 8M $files/mapped
                fallocate -l 4M $files/streamed
                sync -f $files
            done
            md5sum */synced >sums
            """)
        return namespaces
    }

    /// Everything is used, and in use: mappings written by the CPU and by a drive, disks by fio.
    ///
    /// Each of them is halted as soon as it works, or starting all the others on emulated processors
    /// would take most of the time; from the end of this on all of them run.
    private func work(on namespaces: Namespaces, _ machine: Machine) async throws {
        let disks = [namespaces.disk.path, namespaces.disk.path, "/dev/mapper/stack-disk"]
        let jobs = zip(Self.engines, disks).map { engine, disk in
            """
            start \(engine) 'io=[1-9]' fio --name=\(engine) --filename=\(disk) --rw=randrw --bs=4k \
                --direct=1 --time_based --runtime=3600 --ioengine=\(engine) --iodepth=8 \
                --status-interval=1
            """
        }
        // Nice, so that on an emulated processor the removal itself gets a turn.
        try await machine.guest.run(
            """
            cd /run
            # By their names: a job of fio's is a session of its own.
            users='iopmem-guest|fio'
            start() {
                local name=$1 words=$2
                shift 2
                : >$name.out
                setsid nice -n 19 "$@" >$name.out 2>&1 &
                until grep -q "$words" $name.out; do kill -0 $!; sleep 0.1; done
                pkill -STOP -x "$users"
            }
            for target in /run/{\(Self.fileSystems.replacing(" ", with: ","))}/ \(namespaces.devdax.path); do
                name=devdax mapped=$target streamed=$target
                if [ -d $target ]; then
                    name=${target:5:-1} mapped=${target}mapped streamed=${target}streamed
                fi
                start scribble-$name scribbling iopmem-guest scribble $mapped
                start stream-$name streaming iopmem-guest stream /dev/nvme0n1 $streamed
            done
            \(jobs.joined(separator: "\n"))
            pkill -CONT -x "$users"
            """, within: 300)
    }

    /// Somebody makes namespaces of what is free and takes them away, which keeps udev busy, too.
    private func churn(_ namespaces: Namespaces, _ machine: Machine) async throws {
        try await machine.guest.run(
            """
            cd /run
            : >churn.out
            setsid nice -n 19 iopmem-guest churn /dev/\(namespaces.disk.region) \(Self.free) 4194304 \
                >churn.out 2>&1 &
            until grep -q churning churn.out; do kill -0 $!; sleep 0.1; done
            """, within: 60)
    }

    private func remove(
        _ card: PCIFunction, _ way: Way, from namespaces: Namespaces, _ machine: Machine
    ) async throws {
        let guest = machine.guest
        let unload = try await guest.run("rmmod iopmem", status: 1)
        #expect(unload.errors.contains("in use"))
        try await churn(namespaces, machine)
        // All of it goes on until then.
        let users = try await guest.run("pgrep -x -c iopmem-guest; pgrep -x -c fio").output
        #expect(users == "9\n6", "of nine users and six processes of fio there are: \(users)")
        try await way.take(card, machine)
        // Whatever used it ends by itself, fio long before its time: what could be taken
        // away, was.
        try await guest.run(
            "while pgrep -x 'fio|iopmem-guest' >/dev/null; do sleep 0.2; done", within: 60)
    }

    /// What the users were told.
    private func judge(_ machine: Machine) async throws {
        let guest = machine.guest
        let said = try await guest.run(
            """
            cd /run
            for target in \(Self.mapped.joined(separator: " ")); do
                tail -n 1 scribble-$target.out
                tail -n 1 stream-$target.out
            done
            for engine in \(Self.engines.joined(separator: " ")); do
                grep 'err=' $engine.out | tail -n 1
            done
            tail -n 1 churn.out
            """
        ).output.split(separator: "\n")
        try #require(said.count == 2 * Self.mapped.count + Self.engines.count + 1, "\(said)")
        for (index, target) in Self.mapped.enumerated() {
            let (scribbled, streamed) = (said[2 * index], said[2 * index + 1])
            #expect(scribbled == "SIGBUS", "a store into \(target) ended with \(scribbled)")
            #expect(
                ["EFAULT", "EIO", "ENXIO"].contains(streamed),
                "the drive's read into \(target) ended with \(streamed)")
        }
        for (engine, line) in zip(Self.engines, said.dropFirst(2 * Self.mapped.count)) {
            #expect(
                ["err= 5 ", "err= 6 "].contains(where: line.contains),
                "fio by \(engine) did not end with EIO or ENXIO: \(line)")
        }
        #expect(said.last == "ENODEV", "making namespaces ended with \(said.last ?? "")")
        try await guest.run(
            """
            cd /run
            umount \(Self.fileSystems)
            dmsetup remove --retry stack-files
            dmsetup remove --retry stack-disk
            if grep iopmem /proc/iomem || ls /dev/iopmem[0-9]*; then exit 1; fi
            """, within: 60)
    }

    /// The same ones, with the same files; and they can be used.
    private func comeBack(
        _ namespaces: Namespaces, on card: PCIFunction, _ machine: Machine
    ) async throws {
        let back: Created = try await machine.guest.run(
            "iopmemctl restore \(card.address) -o json"
        ).json()
        #expect(
            Set(back.namespaces.map(\.identity)) == Set(namespaces.all.map(\.identity)))
        let all = try await machine.list().namespaces
        #expect(Set(all.map(\.uuid)) == Set(namespaces.all.map(\.uuid)))
        #expect(Set(all.map(\.path)) == Set(namespaces.all.map(\.path)))
        try await machine.guest.run(
            """
            cd /run
            \(namespaces.stacking)
            mount -o dax=always \(namespaces.ext4.path) ext4
            mount -o dax=always \(namespaces.xfs.path) xfs
            mount -o dax=always /dev/mapper/stack-files stacked
            md5sum --check --quiet sums
            fio --name=again --filename=\(namespaces.disk.path) --rw=write --bs=64k --size=16M \
                --direct=1 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal >/dev/null
            """)
    }
}
