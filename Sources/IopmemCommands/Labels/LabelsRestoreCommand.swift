// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem

/// `iopmemctl labels restore`
struct LabelsRestore: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a dump of a label area back.",
        discussion: """
            The file is verified before: it is whole, fits the region, and has a label for each \
            namespace that stands. Data or damaged labels in the way need --force. To bring \
            namespaces back from their labels: iopmemctl restore.

            EXAMPLES
              iopmemctl labels restore 0000:03:00.0 --from card.labels
            """)

    @OptionGroup var region: LabelArguments

    @Option(
        help: ArgumentHelp("What labels dump has written.", valueName: "file"), completion: .file())
    var from: String

    @OptionGroup var change: ChangeOptions
    @OptionGroup var output: OutputOptions

    /// Verifies, writes, shows the labels.
    func run(in context: Context) throws(IopmemError) {
        let dump = try LabelDump.read(from, root: context.host.root)
        let request = LabelWriteRequest(
            region.target, force: change.force, dryRun: change.dryRun)
        let listing = try Operation(on: context.host, telling: context.console)
            .restoreLabels(from: dump, named: from, request) { loss throws(IopmemError) in
                try change.confirm(loss, typing: "\(region.function)", context.console)
            }
        try context.console.show(LabelsReport(listing))
    }
}
