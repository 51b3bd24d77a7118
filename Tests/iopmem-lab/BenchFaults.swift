// SPDX-License-Identifier: GPL-2.0

import VMLab

/// First touches of a mapped file on `ext4 -o dax`.
struct BenchFaults {
    let machine: Machine

    /// Faults of one size, on both devices.
    struct Result: Sendable {
        /// Bytes that one fault maps.
        let step: Int
        /// Faults per second of the processor's time, by round.
        var rates: [BenchDevice: [Double]] = [:]
        /// What the kernel's trace points counted in one more run.
        var proofs: [BenchDevice: Proof] = [:]

        /// iopmem's rate by nd_pmem's.
        var ratios: BenchSpread {
            BenchSpread(zip(rates[.iopmem] ?? [], rates[.pmem] ?? []).map { $0 / $1 })
        }
    }

    /// Faults that ended with an entry in the page table, by its size.
    struct Proof: Sendable {
        let touches: Int
        let small: Int
        let large: Int

        /// Each touch was one fault of the size that was asked for, and there was none of the other.
        func holds(step: Int) -> Bool {
            step == BenchFaults.small
                ? small == touches && large == 0 : large == touches && small == 0
        }
    }

    static let small = 4 << 10
    static let large = 2 << 20
    /// MiB of the file.
    private static let size = 64
    private static let devices: [BenchDevice] = [.iopmem, .pmem]

    func measure(rounds: Int) async throws -> [Result] {
        try await machine.step("first touches of mapped files") {
            try await machine.guest.run(
                Self.devices.map(mount).joined(separator: "\n"), within: 300)
            var results = [Result(step: Self.small), Result(step: Self.large)]
            for round in 0..<rounds {
                for index in results.indices {
                    for turn in Self.devices.indices {
                        let device = Self.devices[(turn + round) % Self.devices.count]
                        let rate = try await touch(device, results[index].step)
                        results[index].rates[device, default: []].append(rate)
                    }
                }
            }
            for index in results.indices {
                for device in Self.devices {
                    let proof = try await prove(device, results[index].step)
                    results[index].proofs[device] = proof
                }
            }
            try await machine.guest.run(
                Self.devices.map { "umount \(folder($0))" }.joined(separator: "\n"))
            return results
        }
    }

    private func folder(_ device: BenchDevice) -> String { "/run/bench-\(device.rawValue)" }

    /// A file for each size: the kernel remembers a file's pages in the size in which they were first
    /// touched, and does not use larger ones later (fs/dax.c, grab_mapping_entry()).
    private func file(_ device: BenchDevice, _ step: Int) -> String {
        "\(folder(device))/by-\(step)"
    }

    /// stride and stripe_width make ext4 place the file's blocks at multiples of 2 MiB.
    private func mount(_ device: BenchDevice) -> String {
        """
        mkfs.ext4 -q -F -b 4096 -E stride=512,stripe_width=512 \(device.node)
        mkdir -p \(folder(device))
        mount -o dax=always \(device.node) \(folder(device))
        for file in \(file(device, Self.small)) \(file(device, Self.large)); do
            fallocate -l \(Self.size)M $file
            dd if=/dev/zero of=$file bs=2M count=\(Self.size / 2) conv=notrunc,fsync status=none
        done
        """
    }

    /// Faults per second of the processor's time.
    private func touch(_ device: BenchDevice, _ step: Int) async throws -> Double {
        let times = step == Self.small ? 1 : 20
        let numbers = try await numbers(
            "iopmem-guest touch \(file(device, step)) \(step) \(times)")
        guard numbers.count == 2, numbers[1] > 0 else { throw LabError("touch printed no times") }
        return Double(numbers[0]) * 1e9 / Double(numbers[1])
    }

    /// The trace points at the end of each DAX fault (include/trace/events/fs_dax.h), and what the
    /// fault came to: NOPAGE is an entry in the page table, FALLBACK is a try with smaller pages.
    private func prove(_ device: BenchDevice, _ step: Int) async throws -> Proof {
        let numbers = try await numbers(
            """
            mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
            cd /sys/kernel/tracing
            echo 16384 >buffer_size_kb
            echo >trace
            echo 1 >events/fs_dax/dax_pte_fault_done/enable
            echo 1 >events/fs_dax/dax_pmd_fault_done/enable
            iopmem-guest touch \(file(device, step)) \(step) 1 | cut -d' ' -f1
            echo 0 >events/fs_dax/enable
            cat trace >/run/bench-trace
            grep -c 'dax_pte_fault_done:.*NOPAGE' /run/bench-trace || true
            grep -c 'dax_pmd_fault_done:.*NOPAGE' /run/bench-trace || true
            echo >trace
            """)
        guard numbers.count == 3 else { throw LabError("the trace points cannot be counted") }
        return Proof(touches: numbers[0], small: numbers[1], large: numbers[2])
    }

    private func numbers(_ script: String) async throws -> [Int] {
        try await machine.guest.run(script, within: 300).output
            .split { $0 == " " || $0 == "\n" }.compactMap { Int($0) }
    }
}
