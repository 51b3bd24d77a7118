// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl inject-error`
public struct InjectError: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "inject-error",
        abstract: "Make blocks of a namespace bad, for tests.",
        discussion: """
            As if the hardware had reported them: reading gives EIO, a mapping SIGBUS, and the \
            file system is told. Writing whole blocks makes them good again. Needs a driver that \
            was built with IOPMEM_DEBUG=1. The disk's badblocks in sysfs lists what is bad.

            EXAMPLES
              iopmemctl inject-error scratch --offset 1M --length 4K
            """)

    @Argument(
        help: "Kernel name, user-given name, UUID or path of a namespace.", completion: .namespace)
    var name: String

    @Option(help: "Where the bad blocks begin, from the start of the namespace.")
    var offset: Size

    @Option(help: "How many bytes are bad.")
    var length: Size

    @OptionGroup(visibility: .hidden) var yes: YesOption
    @OptionGroup(visibility: .hidden) var force: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Injects and shows the namespace.
    public func run(in context: Context) throws(IopmemError) {
        let inventory = try Inventory(root: context.host.root)
        let namespace = try inventory.namespace(named: name, root: context.host.root)
        let (end, overflows) = offset.bytes.addingReportingOverflow(length.bytes)
        guard !overflows else {
            throw IopmemError(.usage, "\(namespace.dev) has no byte \(offset.bytes)")
        }
        try Operation(on: context.host, telling: context.console)
            .injectError(into: namespace, range: offset.bytes..<end, dryRun: plan.dryRun)
        try context.console.show(NamespacesReport(namespaces: [namespace]))
    }
}
