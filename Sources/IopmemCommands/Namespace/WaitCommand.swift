// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl wait`
public struct Wait: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Return when a namespace is ready to be used.",
        discussion: """
            The namespace need not exist yet. It is ready when its node stands in /dev and udev \
            has made its links. When the time is up the exit status is 1.

            EXAMPLES
              iopmemctl wait scratch --timeout 60 && mount /scratch
            """)

    @Argument(
        help: "Kernel name, user-given name, UUID or path of a namespace.", completion: .namespace)
    var name: String

    @Option(help: ArgumentHelp("How long at most, in seconds.", valueName: "s"))
    var timeout: UInt32 = 30

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Waits and shows the namespace.
    public func run(in context: Context) throws(IopmemError) {
        let namespace = try Operation(on: context.host, telling: context.console)
            .wait(for: name, timeout: .seconds(timeout))
        try context.console.show(NamespacesReport(namespaces: [namespace]))
    }
}
