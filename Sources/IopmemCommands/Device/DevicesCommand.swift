// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl devices`
public struct Devices: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "devices",
        abstract: "Show PCI functions with memory BARs, and which of these can be regions.",
        discussion: """
            Without a BDF it shows every function that has memory BARs. As root it sees more: \
            whether a BAR holds the device's MSI-X table.

            EXAMPLES
              iopmemctl devices
              iopmemctl devices 0000:03:00.0 -o json
            """)

    @Argument(help: "PCI functions, written like 0000:03:00.0.", completion: .functionWithMemory)
    var functions: [PCIAddress] = []

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Reads, narrows, shows.
    public func run(in context: Context) throws(IopmemError) {
        let list = try DeviceList(root: context.host.root)
        var selected: [Device] = []
        for address in functions { selected.append(try list.device(at: address)) }
        try context.console.show(
            DevicesReport(devices: functions.isEmpty ? list.withMemory : selected))
    }
}

/// PCI functions, as `devices`, `bind` and `unbind` show them.
struct DevicesReport: Report {
    let devices: [Device]

    private enum CodingKeys: String, CodingKey { case devices }

    var sections: [ReportSection] {
        guard !devices.isEmpty else { return [.text("No PCI function with memory BARs.")] }
        var table = Table(
            .text("DEVICE"), .text("DRIVER"), .number("BAR"), .number("SIZE"), .text("REGION"),
            .text("WHAT IT IS, OR WHY NOT"))
        for device in devices { add(device, to: &table) }
        return [.table(table)]
    }

    private func add(_ device: Device, to table: inout Table) {
        table.add("\(device.address)", device.driver ?? "", "", "", "", device.name)
        if let place = place(of: device) { table.add(" ", " ", " ", " ", " ", place) }
        for bar in device.bars {
            table.add(
                " ", " ", "\(bar.index)", bar.size == 0 ? "" : ByteSize.display(bar.size),
                verdict(bar),
                bar.problem?.shortReason ?? what(bar))
        }
    }

    /// How it is connected, as far as that is known.
    private func place(of device: Device) -> String? {
        let parts = [
            device.link.map { "link \($0)" },
            device.numaNode < 0 ? nil : "NUMA node \(device.numaNode)",
            device.iommuGroup.map { "IOMMU group \($0)" },
        ].compactMap { $0 }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    private func what(_ bar: Device.Bar) -> String {
        let sizes = bar.resizableSizes.map(ByteSize.exact).joined(separator: " ")
        return bar.flags.joined(separator: ", ") + (sizes.isEmpty ? "" : ", resizable: \(sizes)")
    }

    private func verdict(_ bar: Device.Bar) -> String {
        if let region = bar.region { return region }
        switch bar.problem {
        case nil: return "eligible"
        case .unknown: return "unknown"
        default: return "no"
        }
    }
}

extension BarProblem {
    /// The reason in the width of a table.
    var shortReason: String {
        switch self {
        case .tooSmall: "too small: at least 2 MiB are needed"
        case .unassigned: "no address was assigned"
        case .interrupts: "holds the MSI-X table"
        case .notPrefetchable: "not prefetchable (needs --force)"
        case .outOfReach: "above what the kernel can map"
        case .unknown: "only root can see its MSI-X table"
        default: reason
        }
    }
}
