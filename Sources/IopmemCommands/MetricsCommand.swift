// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl metrics`
public struct Metrics: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "State and counters of all namespaces for Prometheus.",
        discussion: """
            In Prometheus' text format, on stdout or into a file that is replaced in one step, as \
            node_exporter's textfile collector wants it. Needs no root, unless the file does. It \
            has this one form, and refuses -o json: iopmemctl list -o json is for that.

            EXAMPLES
              iopmemctl metrics
              iopmemctl metrics --to /var/lib/prometheus/node-exporter/iopmem.prom
            """)

    @Option(
        help: ArgumentHelp("A file to replace, instead of stdout.", valueName: "file"),
        completion: .file())
    var to: String?

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// Prometheus' own.
    public static let formats: [OutputOptions.Format] = [.table]
    /// Who has the same as JSON.
    public static let formatRemedy =
        "leave -o out for Prometheus' text format; as JSON: iopmemctl list -o json"

    /// For ArgumentParser.
    public init() {}

    /// Reads and writes.
    public func run(in context: Context) throws(IopmemError) {
        let host = context.host
        let text = try MachineMetrics(root: host.root).exposition
        guard let to else { return try context.console.write(Array(text.utf8)) }
        try TextFile.replace(to, with: text, root: host.root)
    }
}
