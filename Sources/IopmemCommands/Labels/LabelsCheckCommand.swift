// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem

/// `iopmemctl labels check`
struct LabelsCheck: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check that the labels of a region are whole and fit its namespaces.",
        discussion: """
            Changes nothing. Each finding comes with its remedy; the exit status is 1 if there \
            is a problem.

            EXAMPLES
              iopmemctl labels check 0000:03:00.0
            """)

    @OptionGroup var region: LabelArguments
    @OptionGroup var output: OutputOptions

    /// Examines and shows.
    func run(in context: Context) throws(IopmemError) {
        let report = DoctorReport(
            checks: try Operation(on: context.host, telling: context.console)
                .checkLabels(of: region.target))
        try context.console.show(report)
        try report.failOnProblem()
    }
}
