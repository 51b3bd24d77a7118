// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem

/// `iopmemctl labels dump`
struct LabelsDump: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Write the raw bytes of a label area to stdout or a file.",
        discussion: """
            All 2 MiB as they are, whole or not; labels restore puts them back. A file that \
            exists is replaced only with --force. These bytes are the only form, and -o json is \
            refused: labels show -o json is for that.

            EXAMPLES
              iopmemctl labels dump 0000:03:00.0 --to card.labels
              iopmemctl labels dump 0000:03:00.0 | xxd | less
            """)

    @OptionGroup var region: LabelArguments

    @Option(
        help: ArgumentHelp("A file, instead of stdout.", valueName: "file"), completion: .file())
    var to: String?

    @Flag(help: "Replace the file.")
    var force = false

    @OptionGroup var output: OutputOptions

    static let formats: [OutputOptions.Format] = [.table]
    static let formatRemedy =
        "leave -o out for the bytes; as JSON: iopmemctl labels show BDF -o json"

    /// Reads and writes.
    func run(in context: Context) throws(IopmemError) {
        guard to != nil || !context.console.isStyled else {
            throw IopmemError(
                .usage, "a dump is not for a terminal", remedy: "add --to FILE, or > FILE")
        }
        let bytes = try Operation(on: context.host, telling: context.console)
            .dumpLabels(of: region.target)
        guard let to else { return try context.console.write(bytes) }
        try LabelDump.write(bytes, to: to, replacing: force, root: context.host.root)
        context.console.note("\(bytes.count) bytes written to \(to)")
    }
}
