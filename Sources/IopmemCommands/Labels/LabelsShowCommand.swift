// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem

/// `iopmemctl labels show`
struct LabelsShow: IopmemCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the labels of a region, and which of their namespaces stand.",
        discussion: """
            Reads only. A label that contradicts another is shown with the reason why it is not \
            believed.

            EXAMPLES
              iopmemctl labels show 0000:03:00.0
              iopmemctl labels show 0000:03:00.0 -o json
            """)

    @OptionGroup var region: LabelArguments
    @OptionGroup var output: OutputOptions

    /// Reads and shows.
    func run(in context: Context) throws(IopmemError) {
        let listing = try Operation(on: context.host, telling: context.console)
            .labels(of: region.target)
        try context.console.show(LabelsReport(listing))
    }
}

/// Labels, as `labels show`, `init` and `restore` show them.
struct LabelsReport: Report {
    let area: LabelSummary?
    let labels: [LabelRecord]

    private enum CodingKeys: String, CodingKey { case area, labels }

    init(_ listing: LabelListing) {
        area = listing.area
        labels = listing.labels
    }

    var sections: [ReportSection] {
        guard let area else { return [.text("No label area.")] }
        let uuid = area.uuid.map { "\($0)" } ?? ""
        let summary =
            "\(area.region) (\(area.device) BAR \(area.bar)): label area \(uuid), version"
            + " \(area.version), changed \(area.sequence - 1) times."
        guard !labels.isEmpty else { return [.text(summary), .text("No label.")] }
        var table = Table(
            .number("SLOT"), .text("NAME"), .text("MODE"), .text("MAP"), .number("OFFSET"),
            .number("SIZE"), .text("NAMESPACE"), .text("UUID"))
        for label in labels {
            table.add(
                "\(label.slot)", label.name, label.mode, label.map ?? "",
                ByteSize.exact(label.offset), ByteSize.display(label.size),
                label.objection.map { "refused: \($0)" } ?? label.namespace ?? "not restored",
                label.uuid.map { "\($0)" } ?? "")
        }
        return [.text(summary), .table(table)]
    }
}
