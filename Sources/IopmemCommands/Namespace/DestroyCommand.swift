// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl destroy`
public struct Destroy: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "destroy",
        abstract: "Destroy namespaces and wipe the signatures of file systems on them.",
        discussion: """
            A namespace that is held is refused, unless --revoke takes it away from its users. \
            On a terminal each one is shown and its name has to be typed; scripts use --yes. \
            Where a file system is recognised --force is needed as well, or --keep-data.

            EXAMPLES
              iopmemctl destroy scratch
              iopmemctl destroy --all --yes --keep-data
              iopmemctl destroy rings --yes --force --zero
            """)

    @Argument(
        help: "Kernel name, user-given name, UUID or path of a namespace.", completion: .namespace)
    var names: [String] = []

    @Flag(help: "All namespaces of the machine.")
    var all = false

    @Flag(help: "Leave the signatures of file systems in the memory.")
    var keepData = false

    @Flag(help: "Overwrite all of the memory with zeros.")
    var zero = false

    @Flag(help: "Take it away from those who hold it, who get EIO and SIGBUS.")
    var revoke = false

    @OptionGroup var change: ChangeOptions
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Refuses contradictions.
    public func validate() throws {
        guard all != !names.isEmpty else {
            throw ValidationError("Name the namespaces, or say --all.")
        }
        guard !(keepData && zero) else {
            throw ValidationError("--keep-data and --zero contradict each other.")
        }
    }

    /// Destroys what can be destroyed, and reports the rest.
    public func run(in context: Context) throws(IopmemError) {
        let inventory = try Inventory(root: context.host.root)
        let operation = Operation(on: context.host, telling: context.console)
        let request = DestroyRequest(
            keepData: keepData, zero: zero, force: change.force, revoke: revoke,
            dryRun: change.dryRun)
        var batch = Batch()
        var done: [Namespace] = []
        for name in all ? inventory.namespaces.map(\.dev) : names {
            try batch.attempt { () throws(IopmemError) in
                let namespace = try inventory.namespace(named: name, root: context.host.root)
                guard !done.contains(where: { $0.uuid == namespace.uuid }) else { return }
                // Before it is asked about.
                try operation.checkpoint()
                try operation.destroy(namespace, request) { filled throws(IopmemError) in
                    try confirm(filled, context)
                }
                if !change.dryRun { done.append(namespace) }
            }
        }
        if batch.hasSuccesses || batch.isEmpty {
            try context.console.show(NamespacesReport(namespaces: done))
        }
        try batch.finish()
    }

    /// Shows what it is and has its name typed, unless --yes.
    private func confirm(_ namespace: Namespace, _ context: Context) throws(IopmemError) {
        guard !change.yes else { return }
        let held = namespace.losers.map { "\nIt is \($0), and will be taken away." }.joined()
        let question = """
            \(DataAtRisk(of: namespace, on: context.host).lines.joined(separator: "\n"))\(held)
            Type \(namespace.dev) to destroy it: 
            """
        let answer = try context.console.answer(to: question)
        guard answer == namespace.dev else {
            throw IopmemError(
                .failed, "\(namespace.dev) was not destroyed", because: "not confirmed")
        }
    }
}
