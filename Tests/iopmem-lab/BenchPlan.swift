// SPDX-License-Identifier: GPL-2.0

import Glibc
import VMLab

/// What is measured, and in which machines.
struct BenchPlan {
    let kernel: Kernel
    let preparation: Preparation
    let rounds: Int
    let lines: [BenchLine]
    let scaling: [BenchLine]

    /// How often the rounds are done again for lines that are too close to a limit to tell.
    static let repeats = 2
    /// How many times the rounds there are with two processors, where a figure is made of four
    /// measurements and not of two.
    static let scalingFactor = 3

    /// A card of the size of the others' memory, and one that is large enough for what a GiB costs.
    static let devices = Topology(
        .card("card0", megabytes: 256), .nvdimm("nvdimm0", megabytes: 256),
        .card("card1", megabytes: 2048))

    func carryOut() async throws -> BenchResults {
        var results = BenchResults(
            kernel: kernel.series, rounds: rounds)
        results = try await Machine.run(
            Self.devices.measuring(processors: 1), kernel: kernel, name: "bench",
            preparation: preparation
        ) { [results] machine in
            var results = results
            results.release = machine.kernel.release
            try await setUp(machine)
            var open = lines
            for turn in 0...Self.repeats where !open.isEmpty {
                try await measure(
                    open, BenchDevice.allCases, machine,
                    rounds: turn * rounds..<(turn + 1) * rounds,
                    into: &results.table)
                open = open.filter { line in
                    BenchDevice.peers.contains { peer in
                        results.table.ratios(to: peer, on: line)
                            .isClose(to: line.wanted(against: peer))
                    }
                }
            }
            results.faults = try await BenchFaults(machine: machine).measure(rounds: rounds)
            results.verify = try await BenchVerify(machine: machine).measure(rounds: rounds)
            results.costs = try await BenchCosts(machine: machine).measure(rounds: rounds)
            return results
        }
        results.generation = BenchVerify.generation(rounds: rounds)
        results.noteLoad()
        if scaling.isEmpty { return results }
        return try await Machine.run(
            Self.devices.measuring(processors: 2), kernel: kernel, name: "bench-scaling",
            preparation: preparation
        ) { [results] machine in
            var results = results
            try await setUp(machine)
            try await measure(
                scaling, [.iopmem, .brd], machine, rounds: 0..<rounds * Self.scalingFactor,
                into: &results.scaling)
            return results
        }
    }

    /// Each device with all of its memory written once: what is touched first is slow everywhere.
    private func setUp(_ machine: Machine) async throws {
        try await machine.serveClock()
        let card = try await machine.function("card0").address
        try await machine.step("make the devices") {
            // ndctl gives nd_pmem's namespace struct pages, as iopmem's has them.
            try await machine.guest.run(
                """
                modprobe iopmem
                iopmemctl create --device \(card) --name bench --yes
                modprobe brd rd_nr=1 rd_size=262144
                modprobe -a nfit nd_pmem
                udevadm settle
                ndctl create-namespace --force --reconfig=namespace0.0 --mode=fsdax --map=mem
                udevadm settle
                for node in \(BenchDevice.allCases.map(\.node).joined(separator: " ")); do
                    dd if=/dev/zero of=$node bs=1M count=254 oflag=direct status=none
                done
                """, within: 300)
        }
    }

    private func measure(
        _ lines: [BenchLine], _ devices: [BenchDevice], _ machine: Machine, rounds: Range<Int>,
        into table: inout BenchTable
    ) async throws {
        let fio = BenchFio(
            machine: machine, lines: lines, devices: devices)
        for number in rounds {
            var copy = table
            try await machine.step(
                "round \(number + 1) of \(rounds.upperBound), of \(lines.count) lines"
            ) {
                try await fio.round(number, into: &copy)
            }
            table = copy
        }
    }
}

/// All that was measured.
struct BenchResults: Sendable {
    let kernel: String
    let rounds: Int
    /// Processors of the machine that runs QEMU.
    let hostProcessors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    /// How many tasks wanted them, ours among them, on average over the last 15 minutes.
    var hostLoad = 0.0
    /// What `uname -r` says.
    var release = ""
    /// One processor.
    var table = BenchTable()
    /// Two processors.
    var scaling = BenchTable()
    var faults: [BenchFaults.Result] = []
    var costs: BenchCosts.Result?
    var verify: [BenchVerify.Result] = []
    var generation = BenchVerify.Generation()

    init(kernel: String, rounds: Int) {
        self.kernel = kernel
        self.rounds = rounds
    }

    /// Asks the host for its load.
    mutating func noteLoad() {
        var loads = [0.0, 0.0, 0.0]
        if getloadavg(&loads, 3) == 3 { hostLoad = loads[2] }
    }
}
