// SPDX-License-Identifier: GPL-2.0

import Glibc
import SystemPackage
import VMLab

/// The results as a table and a plot, with the limits that are wanted beside them.
struct BenchReport {
    let results: BenchResults

    /// The lines of one processor that were measured.
    private var lines: [BenchLine] {
        BenchLine.all.filter { !results.table.samples(of: .iopmem, on: $0).isEmpty }
    }

    private var scaling: [BenchLine] {
        BenchLine.scaling.filter { !results.scaling.samples(of: .iopmem, on: $0).isEmpty }
    }

    /// Everything that is judged.
    var verdicts: [Bool] {
        lines.flatMap { line in
            BenchDevice.peers.map { meets(line, $0) }
        } + pairs.map { scales($0) } + results.faults.map(faultsHold)
            + results.verify.map(isFast) + (results.generation.blocks.isEmpty ? [] : [makesFast])
    }

    /// Whether every limit is met.
    var holds: Bool { verdicts.allSatisfy { $0 } }

    private func meets(_ line: BenchLine, _ other: BenchDevice) -> Bool {
        rounded(results.table.ratios(to: other, on: line).median) >= line.wanted(against: other)
    }

    /// What is printed is what is judged.
    private func rounded(_ number: Double) -> Double { (number * 100).rounded() / 100 }

    // MARK: - Text

    /// docs/benchmarks.md.
    var markdown: String {
        let met = verdicts.filter { $0 }.count
        var text = """
            # Benchmarks

            Made by `make bench`; do not edit. Linux \(results.release) in QEMU without KVM, on a host \
            with \(results.hostProcessors) processors and a load of \(number(results.hostLoad, 1)) during the run. \
            \(results.rounds) rounds on each line, and up to \(results.rounds * BenchPlan.repeats) more where a \
            median is nearer to a limit than half the width of its middle half: \(BenchLine.smallAmount) MiB in \
            blocks of 4 KiB, or \(BenchLine.largeAmount) MiB in larger ones, in no more than a second.

            **\(met) of \(verdicts.count) limits are met.**

            ![Ratios](benchmarks.svg)

            \(Self.method)

            ## One processor

            MiB/s are of iopmem by the guest's clock, CPU is seconds of processor time for a GiB. Ratios are \
            iopmem's speed by the other's: the median, and in brackets the middle half of the rounds.

            | line | | rounds | MiB/s | CPU iopmem | CPU nd_pmem | CPU brd | × brd | wanted | × nd_pmem | wanted |
            |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|

            """
        for line in lines { text += row(line) + "\n" }
        if !scaling.isEmpty { text += "\n" + scalingSection }
        if !results.faults.isEmpty { text += "\n" + faultSection }
        if !results.verify.isEmpty { text += "\n" + verifySection }
        if let costs = results.costs { text += "\n" + costSection(costs) }
        return text
    }

    private static let method = """
        ## How to read them

        * **The devices.** iopmem: an fsdax namespace on a QEMU ivshmem card. nd_pmem: an fsdax namespace \
        (`ndctl --map=mem`) on QEMU's NVDIMM. brd: the kernel's RAM disk. Each has 256 MiB, backed by anonymous \
        memory of the host and written once before. All are measured in the same machine, one after the other \
        on each line, in an order that moves on from round to round.
        * **Speed** is bytes per second of the time that the host gave to the guest's processors, as the host's \
        scheduler counts it. These devices are memory: the processor that copies is always busy, so on an idle \
        host that is the guest's own clock, and a busy host does not disturb it. It counts what worker threads \
        and interrupts take as well. MiB/s are by the guest's clock and suffer from a busy host.
        * **Emulation is not hardware.** QEMU translates the guest's code. A load from the BAR costs what a load \
        from RAM costs; on a PCIe link it is a round trip, and what counts there is how few and how wide the \
        reads are. Streaming loads, which fetch 64 bytes at once from write-combining memory, lose here; the driver \
        times both ways on each BAR, and takes 64-bit loads here. \
        Flushes cost nothing here.
        * **nd_pmem** hands io_uring's requests to worker threads, and reads by byte-wise string instructions, \
        which are fast on hardware and slow in QEMU.
        """

    private func row(_ line: BenchLine) -> String {
        let table = results.table
        let speed = table.spread(of: .iopmem, on: line, \.bandwidth).median
        let times = BenchDevice.allCases.map {
            number(table.spread(of: $0, on: line, \.processorSecondsPerGiB).median, 2)
        }
        let cells =
            [
                line.work, line.manner,
                String(table.samples(of: .iopmem, on: line).count), number(speed, 0),
            ] + times
            + BenchDevice.peers.flatMap { other in
                [
                    spread(table.ratios(to: other, on: line)),
                    "\(number(line.wanted(against: other), 2)) \(mark(meets(line, other)))",
                ]
            }
        return "| " + cells.joined(separator: " | ") + " |"
    }

    // MARK: - Two processors

    private var pairs: [(one: BenchLine, two: BenchLine)] {
        scaling.filter { $0.jobs == 1 }.compactMap { one in
            scaling.first {
                $0.jobs == 2 && $0.work == one.work && $0.engine == one.engine
                    && $0.depth == one.depth
            }.map { (one, $0) }
        }
    }

    /// How much of one job's speed each of two jobs keeps, by round.
    private func kept(_ pair: (one: BenchLine, two: BenchLine), _ device: BenchDevice) -> [Double] {
        zip(
            results.scaling.samples(of: device, on: pair.two),
            results.scaling.samples(of: device, on: pair.one)
        ).map { 2 * $0.speed / $1.speed }
    }

    private func relative(_ pair: (one: BenchLine, two: BenchLine)) -> BenchSpread {
        BenchSpread(zip(kept(pair, .iopmem), kept(pair, .brd)).map { $0 / $1 })
    }

    private func scales(_ pair: (one: BenchLine, two: BenchLine)) -> Bool {
        rounded(relative(pair).median) >= 1
    }

    private var scalingSection: String {
        var text = """
            ## Two processors

            Two jobs on two processors by one job: 2 is twice the speed. By processor time, in which a wait for \
            a lock shows as time that moves no bytes. This machine's processors run in threads of their own. \
            \(results.rounds * BenchPlan.scalingFactor) rounds, for each ratio is of four measurements here.

            | line | | iopmem | brd | iopmem ÷ brd | wanted |
            |---|---|--:|--:|--:|--:|

            """
        for pair in pairs {
            let cells = [
                pair.one.work,
                pair.one.engine == "psync" ? "psync" : "\(pair.one.engine) \(pair.one.depth)",
                spread(BenchSpread(kept(pair, .iopmem))), spread(BenchSpread(kept(pair, .brd))),
                spread(relative(pair)), "1.00 \(mark(scales(pair)))",
            ]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        return text
    }

    // MARK: - Faults and costs

    private func faultsHold(_ result: BenchFaults.Result) -> Bool {
        !result.proofs.isEmpty && result.proofs.values.allSatisfy { $0.holds(step: result.step) }
    }

    private var faultSection: String {
        var text = """
            ## First touches of a mapped file

            Faults per second of processor time, on a written file on `ext4 -o dax`, in a new mapping each time. The \
            proof is what the trace points `fs_dax:dax_pte_fault_done` and `dax_pmd_fault_done` counted as NOPAGE \
            in one more run: page table entries of 4 KiB and of 2 MiB.

            | mapping | iopmem | nd_pmem | × nd_pmem | touches → entries of 4 KiB, 2 MiB: iopmem | nd_pmem | proven |
            |---|--:|--:|--:|--:|--:|--:|

            """
        for result in results.faults {
            func proof(_ device: BenchDevice) -> String {
                guard let proof = result.proofs[device] else { return "none" }
                return "\(proof.touches) → \(proof.small), \(proof.large)"
            }
            let cells = [
                result.step == BenchFaults.small ? "4 KiB" : "2 MiB",
                number(BenchSpread(result.rates[.iopmem] ?? []).median, 0),
                number(BenchSpread(result.rates[.pmem] ?? []).median, 0),
                spread(result.ratios), proof(.iopmem), proof(.pmem), mark(faultsHold(result)),
            ]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        return text
    }

    private func isFast(_ result: BenchVerify.Result) -> Bool {
        rounded(result.ratios.median) >= result.line.wanted
    }

    private var makesFast: Bool {
        rounded(results.generation.ratios.median) >= BenchVerify.Generation.wanted
    }

    private var verifySection: String {
        var text = """
            ## `iopmemctl verify` by fio

            \(BenchVerify.size) MiB written and verified with crc32c, in MiB/s of each byte written and read \
            back, by both tools' own account of their time. This emulator computes the processor's CRC32 instruction \
            bit by bit; verify times both ways and takes tables here.

            | job | verify | fio | × fio | wanted |
            |---|--:|--:|--:|--:|

            """
        for result in results.verify {
            let cells = [
                result.line.words, number(BenchSpread(result.ours).median, 0),
                number(BenchSpread(result.fio).median, 0), spread(result.ratios),
                "\(number(result.line.wanted, 2)) \(mark(isFast(result)))",
            ]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        let generation = results.generation
        text += """

            On the host itself, payload, header and crc32c of blocks of 4 KiB are made at \
            \(number(BenchSpread(generation.blocks).median, 1)) GB/s, where memcpy copies \
            \(number(BenchSpread(generation.copies).median, 1)) GB/s: \(spread(generation.ratios)) of it; wanted \
            \(number(BenchVerify.Generation.wanted, 2)) \(mark(makesFast)).

            """
        return text
    }

    private func costSection(_ costs: BenchCosts.Result) -> String {
        var text = """
            ## What a namespace costs

            Processor time of `iopmemctl`, of the kernel and of udev, in seconds: the median, and in brackets the \
            middle half of the rounds.

            | | for any size | for each GiB |
            |---|--:|--:|
            | create (fsdax) | \(spread(costs.createBase)) | \(spread(costs.createPerGiB)) |
            | destroy | \(spread(costs.destroyBase)) | \(spread(costs.destroyPerGiB)) |

            RAM for each GiB with `--map mem`, as less of MemAvailable, and as the struct pages say.

            | mode | measured | computed |
            |---|--:|--:|

            """
        for entry in costs.memory {
            let (measured, computed) = (Double(entry.measured), Double(entry.computed))
            text +=
                "| \(entry.mode) | \(number(measured / 1024, 1)) MiB | \(number(computed / 1024, 1)) MiB |\n"
        }
        return text
    }

    // MARK: - Words

    private func mark(_ holds: Bool) -> String { holds ? "✔" : "✘" }

    private func spread(_ spread: BenchSpread) -> String {
        "\(number(spread.median, 2)) (\(number(spread.low, 2))–\(number(spread.high, 2)))"
    }

    private func number(_ value: Double, _ digits: Int) -> String {
        BenchNumber.text(value, digits)
    }

    // MARK: - Files

    /// Writes the table and the plot.
    func write(to folder: FilePath) throws {
        try folder.appending("benchmarks.md").write(markdown)
        try folder.appending("benchmarks.svg").write(BenchPlot(bars: bars).svg)
    }

    private var bars: [BenchPlot.Bar] {
        lines.map { line in
            BenchPlot.Bar(
                group: line.work, name: line.manner,
                marks: BenchDevice.peers.map { other in
                    BenchPlot.Mark(
                        other: other.rawValue, ratio: results.table.ratios(to: other, on: line),
                        wanted: line.wanted(against: other))
                })
        }
    }
}

/// Numbers for people.
enum BenchNumber {
    /// With this many digits behind the point.
    static func text(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "–" }
        let scale = pow(10, Double(digits))
        let whole = Int((abs(value) * scale).rounded())
        let sign = value < 0 && whole > 0 ? "-" : ""
        if digits == 0 { return "\(sign)\(whole)" }
        let fraction = String(whole % Int(scale))
        return "\(sign)\(whole / Int(scale))."
            + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
