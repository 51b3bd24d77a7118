// SPDX-License-Identifier: GPL-2.0

import SystemPackage
import Testing
import VMLab

/// Two cards as one disk, whose files are still the cards' memory; and data from card to card.
///
///     switch ─┬─ card0   64 MiB ─┬─ dm-linear, dm-stripe ── ext4 -o dax
///             ├─ card1   64 MiB ─┘
///             └─ nvme0             reads into files on both
@Suite("Stacked")
struct StackedTests {
    static let topology = Topology(
        .switch(
            "sw0", .card("card0", megabytes: 64), .card("card1", megabytes: 64), .nvme("nvme0")))
    /// One transfer, in bytes.
    static let length = 8 << 20

    @Test("device mapper keeps DAX, and drives reach both cards", arguments: Kernel.supported)
    func stacked(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let first = try #require(try await machine.function("card0").bars[2])
            let second = try #require(try await machine.function("card1").bars[2])
            let one = try await machine.create(on: "card0", "--size max")
            let other = try await machine.create(on: "card1", "--size max")
            // A file of a whole group of blocks lies on both: across the seam, or in stripes.
            let tables = [
                "linear": """
                0 32768 linear \(one.path) 0
                32768 32768 linear \(other.path) 0
                """,
                "striped": "0 262144 striped 2 4096 \(one.path) 0 \(other.path) 0",
            ]
            for (kind, table) in tables.sorted(by: { $0.key < $1.key }) {
                try await machine.step("dm-\(kind): a file on both, filled by the drive") {
                    try await machine.guest.run(
                        """
                        wipefs --quiet --all \(one.path) \(other.path)
                        dmsetup create both <<'TABLE'
                        \(table)
                        TABLE
                        \(FileSystem.ext4.mount("/dev/mapper/both", at: "/run/both"))
                        fallocate -l \(Self.length) /run/both/file
                        """)
                    let trace = try await machine.transfer(
                        "iopmem-guest transfer in /dev/nvme0n1 /run/both/file \(Self.length)")
                    #expect(trace.bytesRead == Self.length)
                    #expect(trace.bytes(in: first) + trace.bytes(in: second) == Self.length)
                    if kind == "striped" {
                        #expect(trace.bytes(in: first) > 0 && trace.bytes(in: second) > 0)
                    }
                    try await machine.guest.run(
                        "cmp -n \(Self.length) /run/both/file /dev/nvme0n1")
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
