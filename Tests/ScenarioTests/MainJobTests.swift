// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// The main job: a drive moves file data into a card's memory and out of it, past the RAM.
///
///     root port ── switch ─┬─ card0   512 MiB   the namespace, with a file system on it
///                          └─ nvme0             reads into files on it and writes from them
@Suite("Main job")
struct MainJobTests {
    /// One transfer, in bytes.
    static let length = 8 << 20

    @Test(
        "a drive fills and stores files on the card without touching RAM",
        arguments: Kernel.supported)
    func direct(on kernel: Kernel) async throws {
        let topology = Topology(.switch("sw0", .card("card0", megabytes: 512), .nvme("nvme0")))
        try await scenario(topology, on: kernel) { machine in
            let bar = try #require(try await machine.function("card0").bars[2])
            let namespace = try await machine.step("create a namespace over the whole card") {
                try await machine.create(on: "card0", "--size max")
            }
            #expect(namespace.mode == "fsdax")
            #expect(namespace.size == 512 << 20)
            for fileSystem in FileSystem.allCases {
                try await useFiles(fileSystem, on: namespace, bar: bar, machine)
            }
            try await machine.step("the same read into RAM is seen in RAM") {
                let trace = try await machine.transfer(
                    "iopmem-guest transfer in /dev/nvme0n1 ram \(Self.length)")
                #expect(trace.bytesRead == Self.length)
                #expect(trace.bytes(in: bar) == 0)
                #expect(trace.bytes(outside: bar) == Self.length)
            }
            try await machine.step("destroy the namespace") {
                try await machine.guest.run("iopmemctl destroy \(namespace.dev) --yes --force")
                #expect(try await machine.list().namespaces.isEmpty)
            }
        }
    }

    private func useFiles(
        _ fileSystem: FileSystem, on namespace: Namespace, bar: Range<UInt64>, _ machine: Machine
    ) async throws {
        let drive = machine.storage.drive("nvme0")
        let folder = "/run/\(fileSystem)"
        let file = "\(folder)/buffer"
        try await machine.step("\(fileSystem): make it and mount it with DAX") {
            try await machine.guest.run(fileSystem.mount(namespace.path, at: folder))
            try await machine.guest.run("fallocate -l \(Self.length) \(file)")
        }
        try await machine.step("\(fileSystem): the drive fills a file, and all bytes go to the BAR")
        {
            let trace = try await machine.transfer(
                "iopmem-guest transfer in /dev/nvme0n1 \(file) \(Self.length)")
            #expect(trace.bytesRead == Self.length)
            #expect(trace.bytes(in: bar) == Self.length)
            #expect(trace.bytes(outside: bar) == 0)
            let onCard = try await machine.bytesOnCard(
                ofFile: file, count: Self.length, card: "card0", start: namespace.offset)
            let onDrive = try Storage.bytes(of: drive, offset: 0, count: Self.length)
            #expect(onCard == onDrive, "the host sees other bytes on the card than on the drive")
        }
        try await machine.step(
            "\(fileSystem): the drive stores a file, and all bytes come from the BAR"
        ) {
            // Every byte changes, or nothing would be seen to arrive.
            try await machine.guest.run(
                "tr '\\000-\\377' '\\001-\\377\\000' <\(file) >\(file).new"
                    + " && dd if=\(file).new of=\(file) bs=1M conv=notrunc,fsync status=none")
            let trace = try await machine.transfer(
                "iopmem-guest transfer out /dev/nvme0n1 \(file) \(Self.length)")
            #expect(trace.bytesWritten == Self.length)
            #expect(trace.bytes(in: bar) == Self.length)
            #expect(trace.bytes(outside: bar) == 0)
            let onCard = try await machine.bytesOnCard(
                ofFile: file, count: Self.length, card: "card0", start: namespace.offset)
            let onDrive = try Storage.bytes(of: drive, offset: 0, count: Self.length)
            #expect(onCard == onDrive, "the host sees other bytes on the drive than on the card")
        }
        try await machine.step("\(fileSystem): iopmemctl verifies data, placement and the path") {
            let verdict: Verified = try await machine.guest.run(
                "iopmemctl verify \(folder)/data --size 8M --peer /dev/nvme0n1 -o json"
            ).json()
            #expect(verdict.verify.result == "pass")
            #expect(verdict.verify.bytes_verified == 8 << 20)
            #expect(verdict.verify.mismatches.isEmpty)
            let placement = try #require(verdict.verify.placement)
            #expect(placement.pages_checked > 0)
            #expect(placement.pages_in_bar == placement.pages_checked)
            #expect(!verdict.verify.p2p.isEmpty)
            for transfer in verdict.verify.p2p { #expect(transfer.result == "pass") }
        }
        try await machine.step("\(fileSystem): a mounted namespace is not destroyed") {
            let said = try await machine.refused(
                4, "iopmemctl destroy \(namespace.dev) --yes --force")
            #expect(said.contains(folder), "the mount point is not named: \(said)")
            try await machine.guest.run("umount \(folder)")
            for options in ["", "--yes", "--yes --dry-run"] {
                let kept = try await machine.refused(
                    1, "iopmemctl verify \(namespace.path) --size 4M \(options)")
                #expect(kept.contains("holds \(fileSystem)") && kept.contains("--force"), "\(kept)")
            }
            let asked = try await machine.refused(
                1, "iopmemctl verify \(namespace.path) --size 4M --force")
            #expect(asked.contains("no terminal"), "it said \(asked)")
            // The next file system comes over this one.
            try await machine.guest.run("wipefs --quiet --all \(namespace.path)")
        }
        try await machine.step("\(fileSystem): fio agrees, on the block node, by io_uring") {
            let verdict: Verified = try await machine.guest.run(
                "iopmemctl verify \(namespace.path) --yes --size 4M --rw randwrite"
                    + " --ioengine io_uring --iodepth 16 --verify sha256 --verify-interval 1024 -o json"
            ).json()
            #expect(verdict.verify.result == "pass")
            #expect(verdict.verify.bytes_verified == 4 << 20)
            try await machine.guest.run(
                """
                cd /run && fio --name=node --filename=\(namespace.path) --rw=read --size=4M --bs=4k \
                --direct=1 --ioengine=io_uring --iodepth=16 --verify=sha256 --verify_interval=1024 \
                --verify_only --verify_fatal=1 --verify_state_save=0 --minimal >/dev/null
                """)
        }
    }
}
