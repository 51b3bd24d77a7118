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
            them is held nothing happens, and the message names the holder.
            """)

    @Argument(help: "The PCI function, written like 0000:03:00.0.")
    var function: PCIAddress

    @OptionGroup var change: ChangeOptions
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Unbinds and shows the device.
    public func run(in context: Context) throws(IopmemError) {
        let device = try Operation(on: context.host, telling: context.console)
            .unbind(function, dryRun: change.dryRun)
        try context.console.show(DevicesReport(devices: [device]))
    }
}
