// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// What "durable" takes: a fence, and a read back from the device, before anybody is told so.
///
///     root complex ─┬─ card0   512 MiB   file systems on the namespace, on a partition of it, on
///                   │                    dm-linear over it; and the block node itself
///                   ├─ card1    64 MiB   the same as volatile memory
///                   └─ cmb0     64 MiB   an NVMe controller's memory buffer as a memory card: QEMU
///                                        serves each access itself, and writes it down
@Suite("Flush")
struct FlushTests {
    static let topology: Topology = {
        var topology = Topology(
            .card("card0", megabytes: 512), .card("card1", megabytes: 64),
            .device("cmb0", model: "nvme,serial=cmb0,cmb_size_mb=64,legacy-cmb=on"))
        topology.kernelArguments = ["module_blacklist=nvme"]
        return topology
    }()

    @Test("no call that makes data durable returns before a flush", arguments: Kernel.supported)
    func everyCall(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let card = try await machine.function("card0").address
            try await machine.guest.run(
                "modprobe iopmem && iopmemctl bind \(card) --media persistent")
            let checks = try await Self.everyPlace(on: machine)
            for check in checks {
                try await machine.step("durable on \(check.file)") {
                    try await check.demand(FlushCheck.Way.onFiles, on: machine)
                }
            }
            let node = try await machine.create(on: "card0", "--size 32M")
            try await machine.step("durable on the node") {
                let check = FlushCheck(dev: node.dev, file: node.path)
                let flushes = try await check.demand(FlushCheck.Way.allCases, on: machine)
                // Each of these writes is FUA, and the kernel sends a flush after it.
                #expect(flushes[.direct, default: 0] >= 2 * check.count)
            }
            try await machine.step("programs of others") { try await programs(node, machine) }
            try await machine.step("the queue says so") { try await queue(node, machine) }
            try await machine.step("MAP_SYNC where memory is persistent, and only there") {
                try await mapSync(persistent: checks[0].file, machine)
            }
            try await machine.step("a fence and a read back, in the machine code") {
                try await Self.codeOfFlush(on: machine)
            }
            try await machine.step("a read back, as the device sees it") {
                try await Self.readBacks(on: machine)
            }
            try await machine.step("a card that does not decode its memory") {
                try await decodingOff(card, checks, node, machine)
            }
        }
    }

    /// Each file system, and each thing that can stand between it and a namespace, once.
    private static func everyPlace(on machine: Machine) async throws -> [FlushCheck] {
        var nodes: [Namespace] = []
        for _ in 0..<4 { nodes.append(try await machine.create(on: "card0", "--size 96M")) }
        try await machine.guest.run(
            """
            echo 'start=1MiB, type=linux' | sfdisk --quiet --no-tell-kernel \(nodes[2].path)
            blockdev --rereadpt \(nodes[2].path)
            udevadm settle
            echo "0 $(blockdev --getsz \(nodes[3].path)) linear \(nodes[3].path) 0" |
                dmsetup create linear
            """)
        let places = [
            (nodes[0].path, FileSystem.ext4), (nodes[1].path, .xfs),
            ("\(nodes[2].path)p1", .ext4), ("/dev/mapper/linear", .xfs),
        ]
        var checks: [FlushCheck] = []
        for (number, (node, fileSystem)) in places.enumerated() {
            let folder = "/run/place\(number)"
            try await machine.guest.run(fileSystem.mount(node, at: folder))
            try await machine.guest.run("fallocate -l 1M \(folder)/file && sync -f \(folder)")
            checks.append(FlushCheck(dev: nodes[number].dev, file: "\(folder)/file"))
        }
        return checks
    }

    /// What people use, counted only.
    private func programs(_ node: Namespace, _ machine: Machine) async throws {
        let fio =
            "fio --name=fio --filename=\(node.path) --rw=write --bs=4k --size=128k --ioengine=psync"
        for command in [
            // fio leaves the last sync to end_fsync.
            "\(fio) --fsync=1 --end_fsync=1 --minimal",
            "\(fio) --fdatasync=1 --end_fsync=1 --minimal",
            "\(fio) --direct=1 --sync=dsync --minimal",
            "dd if=/dev/zero of=\(node.path) bs=4k count=32 oflag=direct,dsync",
        ] {
            let flushes = try await machine.guest.run(
                """
                counter=/sys/class/iopmem/\(node.dev)/flushes
                before=$(cat $counter)
                \(command) >/dev/null 2>&1 || exit 1
                echo $(($(cat $counter) - before))
                """
            ).output
            #expect(Int(flushes).map { $0 >= 32 } == true, "\(command): \(flushes) flushes")
        }
    }

    /// Without a write cache and FUA, the block layer drops flushes before they reach a driver.
    private func queue(_ node: Namespace, _ machine: Machine) async throws {
        let said = try await machine.guest.run(
            "cd /sys/block/\(node.dev)/queue && cat write_cache fua"
        ).output
        #expect(said == "write back\n1")
    }

    private func mapSync(persistent file: String, _ machine: Machine) async throws {
        let guest = machine.guest
        #expect(try await guest.run("iopmem-guest map-sync \(file)").output == "OK")
        let volatile = try await machine.create(on: "card1", "--size max")
        try await guest.run(FileSystem.ext4.mount(volatile.path, at: "/run/volatile"))
        let said = try await guest.run(
            """
            fallocate -l 1M /run/volatile/file
            iopmem-guest map-sync /run/volatile/file
            umount /run/volatile
            """
        ).output
        #expect(said == "EOPNOTSUPP")
    }

    /// The machine code of a flush; throws a ``FlushCheck/Failure`` unless it is what it should be.
    static func codeOfFlush(on machine: Machine) async throws {
        let code = try await machine.guest.run(
            """
            module=$(modinfo -n iopmem)
            case $module in *.xz) xz -dc $module >/run/iopmem.ko; module=/run/iopmem.ko ;; esac
            objdump -dr --no-show-raw-insn --disassemble=iopmem_read_back $module
            echo
            objdump -dr --no-show-raw-insn --disassemble=iopmem_load $module
            """
        ).output
        let instructions = code.split(separator: "\n").map { $0.split(separator: "\t").dropFirst() }
            .map { $0.joined() }
        // A fence that also holds back loads, which SFENCE does not; then the load.
        guard let fence = instructions.firstIndex(where: { $0.hasPrefix("mfence") }),
            let call = instructions[fence...].firstIndex(where: { $0.contains("iopmem_load") }),
            let order = instructions[call...].firstIndex(where: { $0.hasPrefix("lfence") }),
            instructions[order...].contains(where: {
                $0.hasPrefix("mov ") && $0.contains("(%") && $0.contains("),%")
            })
        else {
            throw FlushCheck.Failure(
                description: "the flush is no fence, load and fence:\n\(code)")
        }
    }

    /// Flushes as a device sees them; throws a ``FlushCheck/Failure`` when it sees none.
    static func readBacks(on machine: Machine) async throws {
        let cmb = try await machine.function("cmb0")
        let bar = try #require(cmb.bars[2])
        let namespace = try await machine.create(on: "cmb0", "--size max --force")
        try await machine.guest.run(
            """
            mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 \(namespace.path)
            mkdir -p /run/cmb
            mount -o dax=always,noatime,commit=600 \(namespace.path) /run/cmb
            fallocate -l 64K /run/cmb/file
            iopmem-guest sync fdatasync /run/cmb/file 16
            sync
            # What the journal holds is written to its place when the kernel thinks it time, which
            # is nobody's sync.
            echo 0 >/proc/sys/vm/dirty_writeback_centisecs
            """)
        let count = 3
        for way in FlushCheck.Way.onFiles {
            let accesses = try await machine.accesses(
                to: "nvme-cmb",
                during: "iopmem-guest sync \(way) /run/cmb/file \(count) | grep -x OK")
            let end = bar.lowerBound + UInt64(namespace.offset + namespace.size)
            let backs = accesses.filter { !$0.isWrite && $0.address == end - 8 && $0.size == 8 }
            guard accesses.contains(where: \.isWrite), backs.count >= count else {
                throw FlushCheck.Failure(
                    description: "\(count) × \(way): QEMU saw \(accesses.count) accesses and "
                        + "\(backs.count) times a read of the last word")
            }
            // Whatever was written before the last call returned, a read came after it.
            guard accesses.last == backs.last else {
                throw FlushCheck.Failure(
                    description: "\(way): the last thing that QEMU saw is \(accesses.suffix(3))")
            }
        }
        try await machine.guest.run(
            """
            echo 500 >/proc/sys/vm/dirty_writeback_centisecs
            umount /run/cmb && iopmemctl unbind \(cmb.address)
            """)
    }

    /// A device that ignores what is written to it must not be believed.
    private func decodingOff(
        _ card: String, _ checks: [FlushCheck], _ node: Namespace, _ machine: Machine
    ) async throws {
        let guest = machine.guest
        func sync(_ way: FlushCheck.Way, _ file: String) async throws -> String {
            try await guest.run("iopmem-guest sync \(way) \(file) 1").output
        }
        try await guest.run("umount /run/place2 /run/place3 && dmsetup remove --retry linear")
        // Blocks that answer a read by what is in them, and blocks that do not: of random bytes, of
        // zeros, and the two with a border between them.
        let read = "dd if=\(node.path) of=/dev/null bs=4k count=1 iflag=direct skip="
        try await guest.run(
            "(head -c 5000 /dev/urandom; head -c 7288 /dev/zero)"
                + " | dd of=\(node.path) bs=4k count=3 iflag=fullblock oflag=direct")
        for block in 0..<3 { try await guest.run("\(read)\(block)") }
        try await guest.run("setpci -s \(card) COMMAND=0:2")
        for block in 0..<3 {
            let said = try await guest.run("\(read)\(block)", status: 1).errors
            #expect(said.contains("Input/output error"), "block \(block): \(said)")
        }
        for way in [FlushCheck.Way.fsync, .fdatasync, .direct] {
            #expect(try await sync(way, node.path) == "EIO", "\(way) on the node")
        }
        for check in checks.prefix(2) {
            // A file system that wrote its log meanwhile knows already, and lets nobody in.
            let said = try await guest.run(
                "iopmem-guest sync fsync \(check.file) 1 2>&1 || true"
            ).output
            #expect(
                said == "EIO" || said == "iopmem-guest: \(check.file): Input/output error",
                "fsync on \(check.file) said \(said)")
        }
        try await guest.run("setpci -s \(card) COMMAND=2:2")
        for way in FlushCheck.Way.allCases {
            #expect(try await sync(way, node.path) == "OK", "\(way) on the node, afterwards")
        }
        // File systems that have seen an error want to be mounted again.
        for number in 0..<2 {
            try await guest.run(
                """
                node=$(findmnt -no SOURCE /run/place\(number))
                umount /run/place\(number)
                mount -o dax=always $node /run/place\(number)
                """)
            #expect(try await sync(.fsync, "/run/place\(number)/file") == "OK")
        }
        try await guest.run("umount /run/place0 /run/place1 && iopmemctl unbind \(card)")
    }
}
