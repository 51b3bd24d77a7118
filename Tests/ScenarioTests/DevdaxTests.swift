// SPDX-License-Identifier: GPL-2.0

import SystemPackage
import Testing
import VMLab

/// Namespaces that programs map by themselves, and pin for as long as they like.
///
///     root port ── switch ─┬─ card0   256 MiB   devdax, and fsdax beside it
///                          ├─ nvme0             reads into mappings and writes from them
///                          └─ nvme1
@Suite("Devdax")
struct DevdaxTests {
    static let topology = Topology(
        .switch("sw0", .card("card0", megabytes: 256), .nvme("nvme0"), .nvme("nvme1")))
    /// One transfer, in bytes.
    static let length = 8 << 20

    @Test(
        "programs map it at any offset, drives and RDMA reach it by pointer, and it stays theirs",
        arguments: Kernel.supported)
    func clients(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let bar = try #require(try await machine.function("card0").bars[2])
            let drive = try await machine.node(ofDrive: "nvme0")
            let namespace = try await machine.step("create one: a node for root alone") {
                try await create(machine)
            }
            try await machine.step("everything that a program can do with the node") {
                try await machine.guest.run("iopmem-guest devdax \(namespace.path)")
            }
            try await machine.step("verify: every page is where it must be") {
                try await verify(namespace, drive, machine)
            }
            try await use(drive, namespace, bar, machine)
            try await machine.step("from drive to drive by way of the card") {
                try await relay(from: drive, namespace, bar, machine)
            }
            try await fio(on: drive, namespace, bar, machine)
            try await rdma(namespace, machine)
            try await machine.step("who maps it is named, and keeps it") {
                try await hold(namespace, drive, machine)
            }
            try await machine.step(
                "where pins for long are not possible, who wants them is refused"
            ) {
                try await refuse(drive, machine)
            }
        }
    }

    /// Blocks of files may move, so devices cannot hold them; and doctor explains it.
    private func refuse(_ drive: String, _ machine: Machine) async throws {
        let guest = machine.guest
        let files = try await machine.create(on: "card0", "--size 64M --name files")
        try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
        try await guest.run("fallocate -l 4M /run/files/buffer")
        for program in ["ib_write_bw", "ib_read_bw", "ib_send_bw"] {
            let said = try await guest.run(
                """
                cd /run
                \(serve(program, "/run/files/buffer"))
                if timeout 20 \(program) -d rxe0 -s 65536 -n 20 10.7.0.1 >/dev/null 2>&1; then
                    exit 1
                fi
                while pgrep -x \(program) >/dev/null; do sleep 0.1; done
                cat server.out
                """
            ).output
            #expect(said.contains("Couldn't allocate MR"), "\(program) said \(said)")
        }
        let registered = try await guest.run(
            """
            fio --name=peer --filename=\(drive) --rw=randread --bs=64k --size=1M --direct=1 \
            --ioengine=io_uring --fixedbufs=1 --iomem=mmapshared:/run/files/buffer 2>&1
            """, status: 1)
        #expect(
            registered.output.contains("Operation not supported"), "it said \(registered.output)")
        // Of the machine's other parts, doctor may think what it likes.
        let doctor = try await guest.run(
            "iopmemctl doctor \(files.device) -o json", status: nil)
        let report: DoctorReport = try doctor.json()
        let pins = try #require(
            report.checks.first { $0.id == "long_term_pins" && $0.subject == files.dev },
            "doctor says nothing of it: \(doctor.output)")
        #expect(pins.finding.contains("RDMA memory regions"), "\(pins)")
        #expect(pins.finding.contains("are refused (EOPNOTSUPP)"), "\(pins)")
        #expect(
            pins.remedy == "for those: iopmemctl create --device \(files.device) --mode devdax",
            "\(pins)")
        try await guest.run("umount /run/files")
    }

    private struct DoctorReport: Decodable {
        let checks: [Finding]

        struct Finding: Decodable {
            let id: String
            let subject: String
            let finding: String
            let remedy: String?
        }
    }

    private func create(_ machine: Machine) async throws -> Namespace {
        let namespace = try await machine.create(
            on: "card0", "--mode devdax --size 128M --name rings")
        #expect(namespace.mode == "devdax")
        #expect(namespace.path == "/dev/iopdax0n1")
        let mode = try await machine.guest.run("stat -c '%a %U %G %F' \(namespace.path)").output
        #expect(mode == "600 root root character special file")
        try await machine.guest.run("test ! -e /dev/\(namespace.dev)")
        return namespace
    }

    private func verify(
        _ namespace: Namespace, _ drive: String, _ machine: Machine
    ) async throws {
        let verdict: Verified = try await machine.guest.run(
            "iopmemctl verify rings --yes --ioengine mmap --size 16M --rw randwrite"
                + " --peer \(drive) --peer-write -o json"
        ).json()
        #expect(verdict.verify.result == "pass")
        #expect(verdict.verify.bytes_verified == 16 << 20)
        let placement = try #require(verdict.verify.placement)
        #expect(placement.pages_checked == 4096)
        #expect(placement.pages_in_bar == 4096)
        #expect(verdict.verify.p2p.count == 2)
        for transfer in verdict.verify.p2p { #expect(transfer.result == "pass") }
    }

    private func use(
        _ node: String, _ namespace: Namespace, _ bar: Range<UInt64>, _ machine: Machine
    ) async throws {
        let memory = machine.storage.card("card0")
        let drive = machine.storage.drive("nvme0")
        try await machine.step("a drive fills it, and all bytes go to the BAR") {
            let trace = try await machine.transfer(
                "iopmem-guest transfer in \(node) \(namespace.path) \(Self.length)")
            #expect(trace.bytesRead == Self.length)
            #expect(trace.bytes(in: bar) == Self.length)
            #expect(trace.bytes(outside: bar) == 0)
            try expectSame(memory, namespace.offset, drive)
        }
        try await machine.step("a drive stores it, and all bytes come from the BAR") {
            try await machine.guest.run(
                "head -c \(Self.length) /dev/urandom >\(namespace.path)")
            let trace = try await machine.transfer(
                "iopmem-guest transfer out \(node) \(namespace.path) \(Self.length)")
            #expect(trace.bytesWritten == Self.length)
            #expect(trace.bytes(in: bar) == Self.length)
            #expect(trace.bytes(outside: bar) == 0)
            try expectSame(memory, namespace.offset, drive)
        }
    }

    private func relay(
        from node: String, _ namespace: Namespace, _ bar: Range<UInt64>, _ machine: Machine
    ) async throws {
        let (from, to) = (machine.storage.drive("nvme0"), machine.storage.drive("nvme1"))
        let second = try await machine.node(ofDrive: "nvme1")
        #expect(
            try Storage.bytes(of: from, offset: 0, count: Self.length)
                != Storage.bytes(of: to, offset: 0, count: Self.length))
        let trace = try await machine.transfer(
            """
            iopmem-guest transfer in \(node) \(namespace.path) \(Self.length)
            iopmem-guest transfer out \(second) \(namespace.path) \(Self.length)
            """)
        #expect(trace.bytes(in: bar) == 2 * Self.length)
        #expect(trace.bytes(outside: bar) == 0)
        try expectSame(from, 0, to)
    }

    /// What the host sees in one file, from `offset` on, and in another.
    private func expectSame(_ one: FilePath, _ offset: Int, _ other: FilePath) throws {
        let one = try Storage.bytes(of: one, offset: offset, count: Self.length)
        let other = try Storage.bytes(of: other, offset: 0, count: Self.length)
        let wrong = one.indices.filter { one[$0] != other[$0] }
        #expect(
            wrong.isEmpty,
            "\(wrong.count) bytes differ, from \(wrong.first ?? 0) to \(wrong.last ?? 0)")
    }

    /// fio's buffers are a mapping of the node. What it writes to a drive from there and reads back to
    /// there, it verifies.
    private func fio(
        on node: String, _ namespace: Namespace, _ bar: Range<UInt64>, _ machine: Machine
    ) async throws {
        for engine in ["psync", "libaio", "io_uring", "io_uring --fixedbufs=1"] {
            // 6.1 registers no memory of a file (io_uring/rsrc.c), whatever file it is.
            let isRefused = engine.contains("fixedbufs") && machine.kernel.series == "6.1"
            let command = """
                fio --name=peer --filename=\(node) --rw=randwrite --bs=64k --size=4M --direct=1 \
                --ioengine=\(engine) --iodepth=4 --iomem=mmapshared:\(namespace.path) \
                --verify=crc32c --verify_fatal=1 --verify_state_save=0
                """
            try await machine.step(
                isRefused ? "fio by \(engine): refused here" : "fio by \(engine)"
            ) {
                guard !isRefused else {
                    let said = try await machine.guest.run("\(command) 2>&1", status: 1)
                    return #expect(
                        said.output.contains("Operation not supported"), "it said \(said.output)")
                }
                let trace = try await machine.transfer("\(command) >/dev/null")
                #expect(trace.bytesWritten == 4 << 20)
                #expect(trace.bytesRead >= 4 << 20)
                #expect(trace.bytes(in: bar) == trace.bytesWritten + trace.bytesRead)
            }
        }
    }

    /// Memory regions on the mapping: registered, written, read and sent from by another process,
    /// through software RDMA; with the namespace on either side.
    private func rdma(_ namespace: Namespace, _ machine: Machine) async throws {
        try await machine.startSoftwareRDMA()
        for program in ["ib_write_bw", "ib_read_bw", "ib_send_bw"] {
            for (from, to) in [("/run/file", namespace.path), (namespace.path, "/run/file")] {
                let way = to == namespace.path ? "into" : "out of"
                try await machine.step("\(program), \(way) a memory region on it") {
                    try await transfer(by: program, from: from, to: to, machine)
                }
            }
        }
    }

    /// The one who asks is the client; who is asked, the server. ib_read_bw reads from the server,
    /// the others write to it.
    ///
    /// Each side has a part of 64 KiB of its own, and behind it one for its peer: a client moves data
    /// between its own and the server's second one. perftest fills both parts on both sides when it
    /// begins, by `srand(time(NULL))`: in the same second with the same bytes. So the first parts may
    /// be equal without any transfer, as may the second ones; what lies crosswise is not.
    private func transfer(
        by program: String, from: String, to: String, _ machine: Machine
    ) async throws {
        let isRead = program == "ib_read_bw"
        let (client, server) = isRead ? (to, from) : (from, to)
        try await machine.guest.run(
            """
            cd /run
            head -c 1M /dev/urandom >\(from)
            head -c 1M /dev/urandom >\(to)
            \(serve(program, server))
            # It has no rate to report where the processor's clock does not run evenly enough, as an
            # emulated one's may not. By then the data is there, or is missed below.
            timeout 60 \(program) -d rxe0 -s 65536 -n 20 --mmap=\(client) 10.7.0.1 >client.out 2>&1 ||
                { cat client.out; grep -q "Can't produce a report" client.out; }
            while pgrep -x \(program) >/dev/null; do sleep 0.1; done
            """)
        let crossed = try await machine.guest.run(
            """
            for pair in 0:65536 65536:0; do
                if cmp -s -n 65536 -i $pair \(from) \(to); then echo $pair; fi
            done
            """
        ).output
        #expect(
            crossed == (isRead ? "65536:0" : "0:65536"),
            "of \(from), \(crossed.isEmpty ? "nothing" : crossed) is in \(to)")
    }

    /// One of perftest's programs in the background, waiting for its client.
    private func serve(_ program: String, _ buffer: String) -> String {
        """
        setsid timeout 60 \(program) -d rxe0 -s 65536 -n 20 --mmap=\(buffer) >/run/server.out 2>&1 &
        until [ -n "$(ss -Hltn 'sport = 18515')" ]; do sleep 0.1; done
        """
    }

    private func hold(
        _ namespace: Namespace, _ drive: String, _ machine: Machine
    ) async throws {
        let guest = machine.guest
        try await guest.run(
            """
            cd /run
            : >scribble.out
            : >stream.out
            setsid iopmem-guest scribble \(namespace.path) >scribble.out 2>&1 &
            setsid iopmem-guest stream \(drive) \(namespace.path) >stream.out 2>&1 &
            until grep -q scribbling scribble.out && grep -q streaming stream.out; do sleep 0.1; done
            """)
        // Their descriptors are closed: it is the mapping that holds it.
        let said = try await machine.refused(4, "iopmemctl destroy rings --yes")
        #expect(said.contains("iopmem-guest (pid"), "the holder is not named: \(said)")
        #expect(try await machine.list().namespace(namespace.dev).state == "enabled")
        try await guest.run("iopmemctl destroy rings --yes --revoke", within: 60)
        try await guest.run("while pgrep -x iopmem-guest; do sleep 0.1; done", within: 60)
        let scribbled = try await guest.run("tail -n 1 /run/scribble.out").output
        #expect(scribbled == "SIGBUS", "a store ended with \(scribbled)")
        let streamed = try await guest.run("tail -n 1 /run/stream.out").output
        #expect(
            ["EFAULT", "EIO", "ENXIO"].contains(streamed), "the drive's read ended: \(streamed)")
        #expect(try await machine.list().namespaces.isEmpty)
    }
}
