// SPDX-License-Identifier: GPL-2.0

import SystemPackage
import Testing
import VMLab

/// Two cards as one disk, whose files are still the cards' memory; and data from card to card.
///
///     switch ─┬─ card0   64 MiB ─┬─ dm-linear, dm-stripe ── ext4 -o dax
///             ├─ card1   64 MiB ─┘
///             └─ nvme0             reads into files on both, and writes from them
@Suite("Stacked")
struct StackedTests {
    static let topology = Topology(
        .switch(
            "sw0", .card("card0", megabytes: 64), .card("card1", megabytes: 64), .nvme("nvme0")))
    /// One transfer, in bytes.
    static let length = 20 << 20

    @Test("device mapper keeps DAX, and drives reach both cards", arguments: Kernel.supported)
    func stacked(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let first = try #require(try await machine.function("card0").bars[2])
            let second = try #require(try await machine.function("card1").bars[2])
            let one = try await machine.create(on: "card0", "--size max")
            let other = try await machine.create(on: "card1", "--size max")
            // Each card gives less than a file is long, or stripes that are shorter.
            let tables = [
                "linear": """
                0 32768 linear \(one.path) 0
                32768 32768 linear \(other.path) 0
                """,
                "striped": "0 262144 striped 2 4096 \(one.path) 0 \(other.path) 0",
            ]
            for (kind, table) in tables.sorted(by: { $0.key < $1.key }) {
                try await machine.step("dm-\(kind): a drive fills a file on both, and stores it") {
                    try await machine.guest.run(
                        """
                        wipefs --quiet --all \(one.path) \(other.path)
                        dmsetup create both <<'TABLE'
                        \(table)
                        TABLE
                        \(FileSystem.ext4.mount("/dev/mapper/both", at: "/run/both"))
                        fallocate -l \(Self.length) /run/both/file
                        """)
                    let file = "/run/both/file"
                    for way in ["in", "out"] {
                        // What the drive stores is not what it holds.
                        try await machine.guest.run(
                            """
                            cd /run/both
                            dd if=/dev/urandom of=file bs=1M count=\(Self.length >> 20) conv=notrunc
                            if cmp -s -n \(Self.length) file /dev/nvme0n1; then exit 1; fi
                            """)
                        let trace = try await machine.transfer(
                            "iopmem-guest transfer \(way) /dev/nvme0n1 \(file) \(Self.length)")
                        let moved = way == "in" ? trace.bytesRead : trace.bytesWritten
                        #expect(moved == Self.length)
                        let (here, there) = (trace.bytes(in: first), trace.bytes(in: second))
                        #expect(here > 0 && there > 0, "\(here) and \(there) bytes")
                        #expect(here + there == Self.length)
                        try await machine.guest.run(
                            "cmp -n \(Self.length) \(file) /dev/nvme0n1")
                    }
                    let held = try await machine.refused(4, "iopmemctl destroy \(one.dev) --yes")
                    #expect(held.contains("dm both"))
                    try await machine.guest.run("umount /run/both && dmsetup remove --retry both")
                }
            }
            try await machine.step("from one card's disk into a mapping of the other") {
                try await machine.guest.run(
                    """
                    wipefs --quiet --all \(one.path) \(other.path)
                    iopmemctl destroy \(other.dev) --yes
                    head -c \(Self.length) /dev/urandom | dd of=\(one.path) bs=1M oflag=direct \\
                        iflag=fullblock
                    """)
                let mapped = try await machine.create(on: "card1", "--mode devdax --size 32M")
                for (way, from, to) in [("in", one, mapped), ("out", mapped, one)] {
                    try await machine.guest.run(
                        "iopmem-guest transfer \(way) \(one.path) \(mapped.path) \(Self.length)")
                    func bytes(of namespace: Namespace) throws -> [UInt8] {
                        let card = namespace == one ? "card0" : "card1"
                        return try Storage.bytes(
                            of: machine.storage.card(card), offset: namespace.offset,
                            count: Self.length)
                    }
                    #expect(try bytes(of: from) == bytes(of: to))
                    // The way back moves something else.
                    try await machine.guest.run(
                        "head -c \(Self.length) /dev/urandom >\(mapped.path)")
                }
            }
        }
    }
}
