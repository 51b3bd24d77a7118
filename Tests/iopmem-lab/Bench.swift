// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import Glibc
import SystemPackage
import VMLab

/// Measures the driver against its peers.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure iopmem against nd_pmem and brd in one machine, and write the table.",
        discussion: """
            On each line the devices are measured one after the other, round after round, and judged by \
            the median of the rounds' ratios. The exit status is 1 if a wanted limit is not met.
            """)

    @Option(help: "The kernel series; see the kernels command.")
    var kernel = "7.2"

    @Option(help: "How often each line is measured.")
    var rounds = 5

    @Flag(help: "A few lines, twice: to see that it works.")
    var quick = false

    @Option(help: ArgumentHelp("Only lines whose name has this in it.", valueName: "text"))
    var only: String?

    @Option(help: ArgumentHelp("Write benchmarks.md and .svg here.", valueName: "folder"))
    var output: String?

    @OptionGroup var driver: DriverOptions

    func validate() throws {
        if let output, access(output, W_OK) != 0 {
            throw ValidationError("There is no folder \(output) that can be written.")
        }
        guard rounds > 0 else { throw ValidationError("--rounds must be at least 1.") }
        if !driver.noDriver { return }
        throw ValidationError("Without the driver there is nothing to measure.")
    }

    func run() async throws {
        let kernel = try Kernel.named(kernel)
        let results = try await BenchPlan(
            kernel: kernel, preparation: driver.preparation, rounds: quick ? 2 : rounds,
            lines: chosen(quick ? BenchLine.few : BenchLine.all),
            scaling: quick ? [] : chosen(BenchLine.scaling)
        ).carryOut()
        let report = BenchReport(results: results)
        print(report.markdown)
        if let output {
            try report.write(to: FilePath(output))
            Progress.say("written: \(output)/benchmarks.md and benchmarks.svg")
        }
        if !report.holds { throw ExitCode.failure }
    }

    private func chosen(_ lines: [BenchLine]) -> [BenchLine] {
        guard let only else { return lines }
        return lines.filter { "\($0.work), \($0.manner)".contains(only) }
    }
}
