// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
import Iopmem

/// `iopmemctl config`
public struct Config: ParsableCommand {
    /// Its name, help and verbs.
    public static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "The files in /etc/iopmem, which say what comes back at boot.",
        discussion: """
            One file for each card, whose name ends with .conf. bind --persist and create --persist \
            write them, and restore does what they say; hand edits are welcome. In shares, one file \
            for each namespace that share exports.
            """,
        subcommands: [ConfigCheck.self, ConfigMatch.self])

    /// For ArgumentParser.
    public init() {}
}

/// `iopmemctl config check`
struct ConfigCheck: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check the files in /etc/iopmem, or others.",
        discussion: """
            Says with line and column what is wrong with them, and which card of this machine each \
            of them means. Changes nothing. The exit status is 1 if something is wrong.

            EXAMPLES
              iopmemctl config check
              iopmemctl config check draft.conf
            """)

    @Argument(
        help: "Files; without any, all in /etc/iopmem and /etc/iopmem/shares.",
        completion: .file())
    var files: [String] = []

    @OptionGroup var output: OutputOptions

    /// Reads and shows.
    func run(in context: Context) throws(IopmemError) {
        let review = try ConfigReview(root: context.host.root, files: files)
        try context.console.show(ConfigReport(review: review))
        guard review.isRight else {
            throw IopmemError(
                .failed, "not all files are right", remedy: "mend them; nothing in them is believed"
            )
        }
    }
}

/// `iopmemctl config match`
struct ConfigMatch: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "match",
        abstract: "Say which file describes a card.",
        discussion: """
            What udev asks for each new PCI function. The exit status is 3 if no file does, and 1 \
            if another card sits in the place of one that a file describes.

            EXAMPLES
              iopmemctl config match 0000:03:00.0
            """)

    @Argument(help: "The PCI function, written like 0000:03:00.0.", completion: .card)
    var function: PCIAddress

    @OptionGroup var output: OutputOptions

    /// Looks, and prints the file's name.
    func run(in context: Context) throws(IopmemError) {
        let root = context.host.root
        let device = try DeviceList(root: root, only: function).device(at: function)
        let entry = try CardFolder(root: root).recordedEntry(for: device, on: context.host)
        guard let entry else {
            throw IopmemError(
                .notFound, "no file in \(CardFolder.path) describes \(function)",
                remedy: "write one: iopmemctl bind \(function) --persist")
        }
        try context.console.show(ConfigMatchReport(path: entry.path))
    }
}

private struct ConfigMatchReport: Report {
    let path: String

    var sections: [ReportSection] { [.text(path)] }
}

/// What `config check` shows.
private struct ConfigReport: Report {
    let review: ConfigReview

    private enum CodingKeys: String, CodingKey { case files }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(review.files, forKey: .files)
    }

    var sections: [ReportSection] {
        guard !review.files.isEmpty else {
            return [.text("No file in \(CardFolder.path): nothing comes back at boot.")]
        }
        var table = Table(
            .text("FILE"), .text("CARD"), .number("NAMESPACES"), .text("VERDICT"))
        for file in review.files {
            table.add(
                file.path, file.devices.map { "\($0)" }.joined(separator: " "),
                file.namespaces.map { "\($0)" } ?? "", file.verdict)
        }
        let complaints = review.files.flatMap(\.complaints)
        return [.table(table)]
            + (complaints.isEmpty ? [] : [.text(complaints.joined(separator: "\n"))])
    }
}
