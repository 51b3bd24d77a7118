// SPDX-License-Identifier: GPL-2.0

import VMLab

/// What a namespace costs: time to make and to remove it, and RAM while it is there.
struct BenchCosts {
    let machine: Machine

    struct Result: Sendable {
        /// Seconds of processor time for the smallest part of a command, whatever the size.
        let createBase: Double
        let destroyBase: Double
        /// Seconds more for each GiB.
        let createPerGiB: Double
        let destroyPerGiB: Double
        /// KiB of RAM for each GiB, by map; nil where this build of the tool has no such map.
        let memory: [(map: String, measured: Int?, computed: Int)]
    }

    private static let small = 64
    private static let large = 2048

    func measure(rounds: Int) async throws -> Result {
        try await machine.step("create and destroy") {
            let card = try await machine.function("card1").address
            try await machine.guest.run("iopmemctl bind \(card) --yes")
            var creates: [Int: [Double]] = [:]
            var destroys: [Int: [Double]] = [:]
            var taken: [Double] = []
            for _ in 0..<rounds {
                for megabytes in [Self.small, Self.large] {
                    let turn = try await turn(card, megabytes)
                    creates[megabytes, default: []].append(turn.create)
                    destroys[megabytes, default: []].append(turn.destroy)
                    if megabytes == Self.large { taken.append(turn.memory) }
                }
            }
            let gib = Double(Self.large - Self.small) / 1024
            func base(_ times: [Int: [Double]]) -> Double {
                BenchSpread(times[Self.small] ?? []).median
            }
            func slope(_ times: [Int: [Double]]) -> Double {
                (BenchSpread(times[Self.large] ?? []).median - base(times)) / gib
            }
            let memory = Int(BenchSpread(taken).median * 1024 / Double(Self.large))
            return Result(
                createBase: base(creates), destroyBase: base(destroys),
                createPerGiB: slope(creates), destroyPerGiB: slope(destroys),
                memory: [
                    // 64 bytes, sizeof(struct page), for each page of 4 KiB.
                    ("mem", memory, 16 << 10)
                ])
        }
    }

    private struct Turn {
        let create: Double
        let destroy: Double
        /// KiB of RAM less while it was there.
        let memory: Double
    }

    private func turn(_ card: String, _ megabytes: Int) async throws -> Turn {
        let output = try await machine.guest.run(
            """
            cd /run && rm -f clock
            available() { sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; }
            sync; echo 3 >/proc/sys/vm/drop_caches
            before=$(available)
            iopmem-guest clock clock
            iopmemctl create --device \(card) --size \(megabytes)M --name cost --yes >/dev/null
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
