// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl restore`
public struct Restore: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Bring back the namespaces that labels and /etc/iopmem describe.",
        discussion: """
            At the same places, with the same UUIDs, modes and names; what stands already is left \
            alone. A function that is named is bound if need be; without one, those that are bound \
            and those that a file in /etc/iopmem describes are looked at. Where a region has labels, \
            they win. Labels and files that cannot be believed are reported, and never written.

            EXAMPLES
              iopmemctl restore
              iopmemctl restore 0000:03:00.0 --dry-run
            """)

    @Argument(help: "The PCI function, written like 0000:03:00.0.", completion: .card)
    var function: PCIAddress?

    @OptionGroup(visibility: .hidden) var yes: YesOption
    @OptionGroup var data: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Restores what can be restored, shows it, and reports the rest.
    public func run(in context: Context) throws(IopmemError) {
        let outcome = try Operation(on: context.host, telling: context.console).restore(
            RestoreRequest(address: function, force: data.force, dryRun: plan.dryRun))
        var batch = Batch()
        for _ in outcome.restored + outcome.standing { try batch.attempt {} }
        for failure in outcome.failures {
            try batch.attempt { () throws(IopmemError) in throw failure }
        }
        if batch.hasSuccesses || batch.isEmpty {
            try context.console.show(
                NamespacesReport(namespaces: outcome.restored + outcome.standing))
        }
        try batch.finish()
    }
}
