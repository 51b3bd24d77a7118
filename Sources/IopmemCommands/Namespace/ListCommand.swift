// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl list`
public struct List: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show regions and namespaces: size, free space, mode, file system, holders.",
        discussion: """
            Works without root, but then cannot see other users' processes. Without a NAME it \
            shows everything; with names only those namespaces and the regions they are in.

            EXAMPLES
              iopmemctl list
              iopmemctl list --capabilities
              iopmemctl list scratch -o json | jq -r '.namespaces[].path'
            """)

    @Argument(
        help: "Kernel name, user-given name, UUID or path of a namespace.", completion: .namespace)
    var names: [String] = []

    @Flag(
        name: [.customShort("C"), .long],
        help: "Also show which modes, sizes and alignments a new namespace can have.")
    var capabilities = false

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Reads, narrows, shows.
    public func run(in context: Context) throws(IopmemError) {
        let inventory = try Inventory(root: context.host.root)
        let selected = try inventory.selecting(names, root: context.host.root)
        try context.console.show(
            ListReport(selected.withUsage(on: context.host), showsCapabilities: capabilities))
    }
}

/// Regions and namespaces, as `list` shows them.
struct ListReport: Report {
    let regions: [Region]
    let namespaces: [Namespace]
    /// Of the table: the object always has them.
    let showsCapabilities: Bool

    private enum CodingKeys: String, CodingKey { case regions, namespaces }

    init(_ inventory: Inventory, showsCapabilities: Bool) {
        regions = inventory.regions
        namespaces = inventory.namespaces
        self.showsCapabilities = showsCapabilities
    }

    var sections: [ReportSection] {
        guard !regions.isEmpty else {
            return [.text("No region: no device is bound to iopmem.")]
        }
        let first: [ReportSection] =
            [.table(regionTable)] + (showsCapabilities ? [.table(capabilityTable)] : [])
        return first + [namespaces.isEmpty ? .text("No namespace.") : .table(namespaceTable)]
    }

    private var capabilityTable: Table {
        var table = Table(
            .text("REGION"), .text("MODE"), .text("MAP"), .number("ALIGN"), .number("SMALLEST"),
            .number("LARGEST"), .number("RAM PER GIB"))
        for region in regions {
            guard let capabilities = region.capabilities else {
                table.add(region.dev, "unknown: another driver", "", "", "", "", "")
                continue
            }
            for capability in capabilities {
                table.add(
                    region.dev, capability.mode.rawValue,
                    capability.maps.map(\.rawValue).joined(separator: " "),
                    ByteSize.display(capability.align), ByteSize.display(capability.minSize),
                    ByteSize.display(capability.maxSize),
                    ByteSize.display(capability.memoryPerGiB))
            }
        }
        return table
    }

    private var regionTable: Table {
        var table = Table(
            .text("REGION"), .text("DEVICE"), .number("BAR"), .number("SIZE"), .number("FREE"),
            .number("LARGEST"), .text("ADDRESS"), .text("MEDIA"))
        for region in regions {
            table.add(
                region.dev, "\(region.device)", "\(region.bar)", ByteSize.display(region.size),
                ByteSize.display(region.availableSize),
                ByteSize.display(region.maxAvailableExtent),
                "0x" + String(region.physicalAddress, radix: 16), region.media)
        }
        return table
    }

    private var namespaceTable: Table {
        var table = Table(
            .text("NAMESPACE"), .text("NAME"), .text("MODE"), .number("SIZE"), .text("STATE"),
            .text("FILESYSTEM"), .text("MOUNTPOINT"), .text("HELD BY"))
        for namespace in namespaces {
            // Of the whole disk and of its partitions.
            let mounts = namespace.holders.filter { $0.kind == "mount" }
            let others = namespace.holders.filter { $0.kind != "mount" }
            table.add(
                namespace.dev, namespace.name, namespace.mode.rawValue,
                ByteSize.display(namespace.size), namespace.state.rawValue,
                namespace.filesystem?.type ?? "", mounts.map(\.name).joined(separator: ", "),
                others.map(\.description).joined(separator: ", "))
        }
        return table
    }
}
