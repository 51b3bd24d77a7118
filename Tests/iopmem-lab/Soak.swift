// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import VMLab

/// The power-cut test for as long as one likes.
struct Soak: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cut the power again and again while files are written and synced.",
        discussion: """
            Boots a machine whose card keeps its contents, writes records on ext4 and xfs, kills QEMU \
            at a random moment, boots again and looks for every record that had been reported as \
            durable. The cuts are shared out among the kernels, whose machines run \
            side by side. The first thing that is not as it should be ends it.
            """)

    @Option(help: "How often the power is cut.")
    var cuts = 50

    @Option(help: "Only this kernel series.")
    var kernel: [String] = []

    @Option(help: "Decides on moments and contents; printed, so that a run can be had again.")
    var seed: UInt64 = .random(in: 0...UInt64(UInt32.max))

    func validate() throws {
        if cuts < 1 { throw ValidationError("--cuts must be at least 1") }
    }

    func run() async throws {
        let kernels = try kernel.isEmpty ? Kernel.supported : kernel.map(Kernel.named)
        let start = ContinuousClock.now
        let narrator = Narrator(steps: 0)
        narrator.say("soak: \(cuts) power cuts, seed \(seed)")
        let shares = kernels.enumerated().map { index, kernel in
            (kernel, cuts * (index + 1) / kernels.count - cuts * index / kernels.count)
        }
        // Side by side: a machine that boots keeps one processor busy at most.
        let sum = try await withThrowingTaskGroup(of: PowerCuts.Figures.self) { group in
            for (kernel, share) in shares where share > 0 {
                group.addTask { [seed] in
                    try await PowerCuts(kernel: kernel, seed: seed).run(cuts: share) { cut in
                        narrator.say(
                            "Linux \(kernel.series)  cut \(cut.number) of \(share), "
                                + "\(cut.delay) s into the load: \(cut.figures.reported) records "
                                + "reported, \(cut.figures.checked) compared, all there")
                    }
                }
            }
            return try await group.reduce(PowerCuts.Figures(), +)
        }
        let seconds = (ContinuousClock.now - start).components.seconds
        narrator.say(
            """

            cuts survived       \(sum.survived) of \(cuts)
            journals replayed   \(sum.replayed)
            records reported    \(sum.reported)
            records compared    \(sum.checked)   (those of the last two cuts, after each cut; each as it was written)
            file systems        mounted clean and checked clean, each time
            seconds             \(seconds)
            seed                \(seed)
            """)
    }
}
