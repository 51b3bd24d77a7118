// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl create`
public struct Create: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create a namespace on a device, binding the device first if need be.",
        discussion: """
            All or nothing: if anything fails, or Ctrl-C comes, nothing is left. Where a file \
            system or partition table is recognised in the memory, --force is needed. On a \
            region with a label area every namespace is written down there; on others, with \
            --persist, in /etc/iopmem.

            EXAMPLES
              iopmemctl create --device 0000:03:00.0 --name scratch
              iopmemctl create --device 0000:03:00.0 --size 4G --persist --dry-run
              iopmemctl create --device 0000:03:00.0 --size 1G --mode devdax --name rings
            """)

    @Option(help: "The PCI function, written like 0000:03:00.0.", completion: .card)
    var device: PCIAddress

    @Option(help: "The BAR, 0 to 5. Default: the largest eligible one.")
    var bar: Int?

    @Option(help: "Bytes, with K, M, G or T if wanted; max is the largest free extent.")
    var size: CreateRequest.Size = .max

    @Option(help: "How its pages can be reached.")
    var mode: Namespace.Mode = .fsdax

    @Option(help: "Where its struct pages live: in system RAM or in the BAR. Default: mem.")
    var map: Namespace.PageMap?

    @Option(help: "A name of your own.")
    var name: String?

    @Flag(
        help:
            "Write it down, so that restore brings it back: in the region's labels or /etc/iopmem.")
    var persist = false

    @Flag(help: "Let drivers allocate from it too, for --mode p2pdma.")
    var publish = false

    @OptionGroup(visibility: .hidden) var yes: YesOption
    @OptionGroup var data: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Refuses what is wrong whatever the machine is like.
    public func validate() throws {
        try IopmemCommands.validate(bar: bar)
        if size == .bytes(0) { throw ValidationError("--size 0 is no size of a namespace.") }
        if mode == .raw, map != nil {
            throw ValidationError("--map says where struct pages live, and --mode raw has none.")
        }
        if publish, mode != .p2pdma {
            throw ValidationError("--publish is for --mode p2pdma.")
        }
        if let name, let objection = CreateRequest.objection(toName: name) {
            throw ValidationError("--name \(name): \(objection).")
        }
    }

    /// Creates and shows the namespace.
    public func run(in context: Context) throws(IopmemError) {
        let namespace = try Operation(on: context.host, telling: context.console).create(
            CreateRequest(
                device: device, bar: bar, size: size, mode: mode,
                map: mode == .raw ? nil : map ?? .mem, name: name ?? "", persist: persist,
                publish: publish, force: data.force, dryRun: plan.dryRun))
        try context.console.show(NamespacesReport(namespaces: [namespace].compactMap { $0 }))
    }
}
