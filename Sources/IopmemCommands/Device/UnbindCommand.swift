// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl unbind`
public struct Unbind: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "unbind",
        abstract: "Unbind a PCI function from iopmem; its ordinary driver gets it back.",
        discussion: """
            Its namespaces are destroyed, and the bytes in them left as they are. While one of \
            them is held nothing happens, and the message names the holder; unless --revoke \
            takes them away, which on a terminal has to be confirmed, and needs --yes elsewhere.

            EXAMPLES
              iopmemctl unbind 0000:03:00.0
              iopmemctl unbind 0000:03:00.0 --revoke --yes
            """)

    @Argument(help: "The PCI function, written like 0000:03:00.0.", completion: .boundFunction)
    var function: PCIAddress

    @Flag(help: "Take held namespaces away from their users, who get EIO and SIGBUS.")
    var revoke = false

    @OptionGroup var confirmation: YesOption
    @OptionGroup(visibility: .hidden) var force: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Unbinds and shows the device.
    public func run(in context: Context) throws(IopmemError) {
        let device = try Operation(on: context.host, telling: context.console)
            .unbind(function, revoke: revoke, dryRun: plan.dryRun) { held throws(IopmemError) in
                try confirm(held, context.console)
            }
        try context.console.show(DevicesReport(devices: [device]))
    }

    /// Shows who loses what and has the function typed, unless --yes.
    private func confirm(_ held: [Namespace], _ console: Console) throws(IopmemError) {
        guard !confirmation.yes else { return }
        let losses = held.map { "\($0.dev) is \($0.losers.joined(separator: ", "))" }
        let answer = try console.answer(
            to: """
                \(losses.joined(separator: "\n"))
                Type \(function) to take it away: 
                """)
        guard answer == "\(function)" else {
            throw IopmemError(.failed, "\(function) was not unbound", because: "not confirmed")
        }
    }
}
