// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem

/// `iopmemctl labels init`
struct LabelsInit: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a label area in a region's first 2 MiB.",
        discussion: """
            Refused while a namespace stands there, and over other data unless --force is given. \
            Namespaces that stand behind it get labels. A label area that is there already is \
            left as it is; with --force a new one takes its place, after it was asked for.

            EXAMPLES
              iopmemctl labels init 0000:03:00.0
            """)

    @OptionGroup var region: LabelArguments
    @OptionGroup var change: ChangeOptions
    @OptionGroup var output: OutputOptions

    /// Makes it and shows the labels.
    func run(in context: Context) throws(IopmemError) {
        let request = LabelWriteRequest(
            region.target, force: change.force, dryRun: change.dryRun)
        let listing = try Operation(on: context.host, telling: context.console)
            .initLabels(request) { loss throws(IopmemError) in
                try change.confirm(loss, typing: "\(region.function)", context.console)
            }
        try context.console.show(LabelsReport(listing))
    }
}
