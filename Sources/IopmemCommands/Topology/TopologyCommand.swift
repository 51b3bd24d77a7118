// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl topology`
public struct TopologyCommand: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "topology",
        abstract:
            "Show which devices can reach which memory, the way they take, and what to change.",
        discussion: """
            For each provider (a device with memory) and client (a device that does DMA to it) it \
            gives the verdict of the kernel's peer-to-peer code, also where the kernel has none: \
            bus_addr (within a switch), through_host_bridge, not_supported, or unknown where only \
            root can see the settings. Nothing asks for it before a transfer to a namespace of mode \
            fsdax or devdax. The exit status is 0 whatever the verdicts are.

            Without --provider these are the devices that are bound, or else could be; without \
            --client the storage, network and accelerator devices that have a driver. Both can be \
            given more than once.

            EXAMPLES
              iopmemctl topology
              iopmemctl topology --provider 0000:03:00.0 --client 0000:04:00.0 -o json
              iopmemctl topology -o dot | dot -Tsvg -o topology.svg
            """)

    @Option(help: ArgumentHelp("Whose memory it is.", valueName: "bdf"), completion: .card)
    var provider: [PCIAddress] = []

    @Option(help: ArgumentHelp("Who does DMA to it.", valueName: "bdf"), completion: .client)
    var client: [PCIAddress] = []

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// It can also be drawn.
    public static let formats: [OutputOptions.Format] = [.table, .json, .dot]

    /// For ArgumentParser.
    public init() {}

    /// Judges and shows.
    public func run(in context: Context) throws(IopmemError) {
        let topology = try Topology(root: context.host.root)
        let pairs = try topology.pairs(providers: provider, clients: client)
        try context.console.show(TopologyReport(pairs: pairs, tree: topology.tree))
    }
}

/// Verdicts, and the part of the tree that they are about.
struct TopologyReport: GraphReport {
    let pairs: [PeerPair]
    let tree: PCITree

    private enum CodingKeys: String, CodingKey { case pairs }

    var sections: [ReportSection] {
        guard !pairs.isEmpty else {
            return [.text("No pair of a device with memory and one that does DMA to it.")]
        }
        var table = Table(
            .text("PROVIDER"), .text("CLIENT"), .text("VERDICT"), .number("DISTANCE"),
            .text("IOMMU"))
        for pair in pairs {
            table.add(
                "\(pair.provider)", "\(pair.client)", pair.verdict.rawValue, "\(pair.distance)",
                pair.iommu.rawValue)
        }
        return [.text(branches.joined(separator: "\n")), .table(table), .text(reasons)]
    }

    /// The same reason and remedy once, however many pairs they are true of.
    private var reasons: String {
        var groups: [(pairs: [PeerPair], text: String)] = []
        for pair in pairs {
            var text = "  \(pair.reason)"
            if let remedy = pair.remedy { text += "\n  remedy: \(remedy)" }
            if let index = groups.firstIndex(where: { $0.text == text }) {
                groups[index].pairs.append(pair)
            } else {
                groups.append(([pair], text))
            }
        }
        return groups.map { group in
            let lines = group.pairs.map { "\($0.provider) → \($0.client)" }
            return "\(lines.joined(separator: "\n")):\n\(group.text)"
        }.joined(separator: "\n")
    }
}

// MARK: - The tree

extension TopologyReport {
    private var shown: Set<PCIAddress> {
        // A path within a switch ends at it; what is above it is shown too.
        Set(
            pairs.flatMap { pair in
                [pair.provider, pair.client].flatMap { tree.upwards(from: $0) }
            })
    }

    private func role(_ address: PCIAddress) -> String? {
        let isProvider = pairs.contains { $0.provider == address }
        let isClient = pairs.contains { $0.client == address }
        return switch (isProvider, isClient) {
        case (true, true): "provider, client"
        case (true, false): "provider"
        case (false, true): "client"
        case (false, false): nil
        }
    }

    private var branches: [String] {
        let shown = shown
        return tree.hostBridges.flatMap { bridge -> [String] in
            let roots = tree.children(ofHostBridge: bridge).filter { shown.contains($0.address) }
            return roots.isEmpty ? [] : [bridge] + lines(roots, shown, indent: "")
        }
    }

    private func lines(
        _ devices: [Device], _ shown: Set<PCIAddress>, indent: String
    ) -> [String] {
        devices.enumerated().flatMap { index, device -> [String] in
            let isLast = index == devices.count - 1
            let facts = [
                role(device.address), device.isBridge ? nil : device.driver,
                device.redirectsPeers == true ? "ACS redirects" : nil,
            ].compactMap { $0 }
            let note = facts.isEmpty ? "" : " [\(facts.joined(separator: "; "))]"
            let below = tree.children(of: device.address).filter { shown.contains($0.address) }
            return ["\(indent)\(isLast ? "└─" : "├─") \(device.address) \(device.name)\(note)"]
                + lines(below, shown, indent: indent + (isLast ? "   " : "│  "))
        }
    }

    /// In Graphviz's language: the tree in grey, and a coloured arrow for each verdict.
    var graph: String {
        let shown = shown
        var lines = [
            "digraph topology {", "  rankdir=TB;",
            "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];",
            "  edge [fontname=\"sans-serif\"];",
        ]
        for bridge in tree.hostBridges {
            let roots = tree.children(ofHostBridge: bridge).filter { shown.contains($0.address) }
            guard !roots.isEmpty else { continue }
            lines.append("  \(quoted(bridge)) [shape=ellipse, fillcolor=\"#eeeeee\"];")
            lines += roots.flatMap { nodes($0, below: bridge, shown) }
        }
        lines += pairs.map { pair in
            let color =
                switch pair.verdict {
                case .busAddress: "#2e7d32"
                case .throughHostBridge: "#ef6c00"
                case .notSupported: "#c62828"
                case .unknown: "#757575"
                }
            return "  \(quoted("\(pair.provider)")) -> \(quoted("\(pair.client)")) ["
                + "dir=both, constraint=false, color=\"\(color)\", fontcolor=\"\(color)\", "
                + "label=\(quoted(pair.verdict.rawValue)), tooltip=\(quoted(pair.reason))];"
        }
        return (lines + ["}"]).joined(separator: "\n")
    }

    private func nodes(
        _ device: Device, below parent: String, _ shown: Set<PCIAddress>
    ) -> [String] {
        let name = "\(device.address)"
        let words = [name, device.name, role(device.address) ?? ""].filter { !$0.isEmpty }
        let color = role(device.address) == nil ? "white" : "#e3f2fd"
        let below = tree.children(of: device.address).filter { shown.contains($0.address) }
        return [
            "  \(quoted(name)) [label=\(quoted(words.joined(separator: "\n"))), "
                + "fillcolor=\"\(color)\"];",
            "  \(quoted(parent)) -> \(quoted(name)) [dir=none, color=\"#9e9e9e\"];",
        ] + below.flatMap { nodes($0, below: name, shown) }
    }

    private func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in text {
            switch character {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            default: quoted.append(character)
            }
        }
        return quoted + "\""
    }
}
