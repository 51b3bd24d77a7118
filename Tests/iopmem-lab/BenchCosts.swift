// SPDX-License-Identifier: GPL-2.0

import VMLab

/// What a namespace costs: time to make and to remove it, and RAM while it is there.
struct BenchCosts {
    let machine: Machine

    struct Result: Sendable {
        /// Seconds of processor time for the smallest part of a command, whatever the size.
        let createBase: BenchSpread
        let destroyBase: BenchSpread
        /// Seconds more for each GiB.
        let createPerGiB: BenchSpread
        let destroyPerGiB: BenchSpread
        /// KiB of RAM for each GiB, by mode.
        let memory: [(mode: String, measured: Int, computed: Int)]
    }

    private static let small = 64
    private static let large = 2048
    /// KiB of struct pages for each GiB. fsdax: 64 bytes, sizeof(struct page), for each page of 4 KiB;
    /// devdax: two pages for each 2 MiB (mm/sparse-vmemmap.c, vmemmap_populate_compound_pages()).
    private static let structPages = [("fsdax", 16 << 10), ("devdax", 4 << 10)]

    func measure(rounds: Int) async throws -> Result {
        try await machine.step("create and destroy") {
            let card = try await machine.function("card1").address
            try await machine.guest.run("iopmemctl bind \(card) --yes")
            var small: [Turn] = []
            var large: [Turn] = []
            var taken: [String: [Double]] = [:]
            for _ in 0..<rounds {
                small.append(try await turn(card, Self.small, "fsdax"))
                for (mode, _) in Self.structPages {
                    let turn = try await turn(card, Self.large, mode)
                    taken[mode, default: []].append(turn.memory)
                    if mode == "fsdax" { large.append(turn) }
                }
            }
            let gib = Double(Self.large - Self.small) / 1024
            func slope(_ time: KeyPath<Turn, Double>) -> BenchSpread {
                BenchSpread(
                    zip(small, large).map { ($1[keyPath: time] - $0[keyPath: time]) / gib })
            }
            return Result(
                createBase: BenchSpread(small.map(\.create)),
                destroyBase: BenchSpread(small.map(\.destroy)),
                createPerGiB: slope(\.create), destroyPerGiB: slope(\.destroy),
                memory: Self.structPages.map { mode, computed in
                    let kilobytes = BenchSpread(taken[mode] ?? []).median
                    return (mode, Int(kilobytes * 1024 / Double(Self.large)), computed)
                })
        }
    }

    private struct Turn {
        let create: Double
        let destroy: Double
        /// KiB of RAM less while it was there.
        let memory: Double
    }

    private func turn(_ card: String, _ megabytes: Int, _ mode: String) async throws -> Turn {
        let output = try await machine.guest.run(
            """
            cd /run && rm -f clock
            available() { sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; }
            sync; echo 3 >/proc/sys/vm/drop_caches
            before=$(available)
            iopmem-guest clock clock
            iopmemctl create --device \(card) --mode \(mode) --size \(megabytes)M --name cost --yes >/dev/null
            iopmem-guest clock clock
            udevadm settle
            echo 3 >/proc/sys/vm/drop_caches
            during=$(available)
            iopmem-guest clock clock
            iopmemctl destroy cost --yes >/dev/null
            iopmem-guest clock clock
            echo $before $during $(cat clock)
            """, within: 300
        ).output
        let numbers = output.split(separator: " ").compactMap { Double($0) }
        guard numbers.count == 6 else {
            throw LabError("create and destroy were not timed", evidence: output)
        }
        return Turn(
            create: (numbers[3] - numbers[2]) / 1e9, destroy: (numbers[5] - numbers[4]) / 1e9,
            memory: numbers[0] - numbers[1])
    }
}
