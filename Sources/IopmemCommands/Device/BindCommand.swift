// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl bind`
public struct Bind: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "bind",
        abstract: "Bind a PCI function to iopmem, so that its memory BARs become regions.",
        discussion: """
            A device that is in use is refused, and so is one that has another driver unless \
            --force is given. If anything fails, or Ctrl-C comes, the old driver is back.

            With --persist it is written to /etc/iopmem and done again at each boot, and when the \
            card is plugged in.

            EXAMPLES
              iopmemctl bind 0000:03:00.0
              iopmemctl bind 0000:03:00.0 --media persistent --persist
            """)

    @Argument(help: "The PCI function, written like 0000:03:00.0.", completion: .card)
    var function: PCIAddress

    @Option(help: "Only this BAR, 0 to 5. Default: every eligible one.")
    var bar: Int?

    @Option(
        help:
            "Whether its contents survive without power: volatile or persistent. Default: volatile."
    )
    var media: Media?

    @Option(
        help: ArgumentHelp(
            "Give the BAR this size first, where device and kernel can: K, M, G or T.",
            valueName: "size"))
    var resizeBar: Size?

    @Flag(help: "Write it to /etc/iopmem, so that it is done again at each boot.")
    var persist = false

    @OptionGroup(visibility: .hidden) var yes: YesOption
    @OptionGroup var data: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Refuses a BAR that no function has.
    public func validate() throws {
        try IopmemCommands.validate(bar: bar)
    }

    /// Binds and shows the device.
    public func run(in context: Context) throws(IopmemError) {
        let device = try Operation(on: context.host, telling: context.console).bind(
            BindRequest(
                address: function, bar: bar, media: media?.rawValue, resize: resizeBar?.bytes,
                force: data.force,
                persist: persist, dryRun: plan.dryRun))
        try context.console.show(DevicesReport(devices: [device]))
    }
}
