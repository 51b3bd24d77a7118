// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem

/// A card with the file that describes it.
struct ConfiguredCard {
    let path: String
    let file: CardFile

    /// The namespaces that come back in a region of the card, which may be its only one.
    func namespaces(in region: Region, isOnly: Bool) -> [ConfiguredNamespace] {
        file.namespaces.filter {
            guard let bar = $0.bar ?? file.bar else { return isOnly }
            return bar == region.bar
        }
    }

    /// Namespaces that cannot come back, since nothing says in which region, or
    /// since that one is not there.
    func homeless(among regions: [Region], of address: PCIAddress) -> [IopmemError] {
        file.namespaces.compactMap { namespace in
            let failure = "cannot restore \(namespace.phrase) of \(path)"
            guard let bar = namespace.bar ?? file.bar else {
                guard regions.count > 1 else { return nil }
                let bars = regions.map { "bar = \($0.bar)" }.joined(separator: " or ")
                return IopmemError(
                    .failed, failure, because: "\(address) has \(regions.count) regions",
                    remedy: "say which one in its section: \(bars)")
            }
            guard !regions.contains(where: { $0.bar == bar }) else { return nil }
            return IopmemError(
                .notFound, failure, because: "BAR \(bar) of \(address) is not a region",
                remedy: "show its BARs: iopmemctl devices \(address)")
        }
    }
}

/// What a file says of a card on which not all of it stands.
struct DescribedCard {
    let card: ConfiguredCard
    /// Those of the card, once it is bound.
    let regions: [Region]
    /// UUIDs of all namespaces of the machine.
    let standing: Set<NamespaceUUID>

    /// Namespaces that do not stand: what is theirs is not free.
    var absent: [ConfiguredNamespace] {
        regions.isEmpty ? card.file.namespaces : regions.flatMap(absent)
    }

    /// Those of one region; none where it has labels, which win.
    func absent(in region: Region) -> [ConfiguredNamespace] {
        guard region.labelSize == 0 else { return [] }
        return card.namespaces(in: region, isOnly: regions.count == 1)
            .filter { !standing.contains($0.uuid) }
    }
}

extension Operation {
    /// What a file says of a card; nil where no file that is believed does.
    func described(_ device: Device) throws(IopmemError) -> DescribedCard? {
        let card = CardIdentity(device, root: host.root)
        // Another card in its place, two files: nothing that a new namespace has to do with, unless it
        // is to be written down, which is refused then.
        guard let folder = try? CardFolder(root: host.root),
            let entry = try? folder.entry(for: card, at: device.address),
            let file = entry.reading.file
        else { return nil }
        let inventory = try Inventory(root: host.root)
        return DescribedCard(
            card: ConfiguredCard(path: entry.path, file: file),
            regions: inventory.regions(of: device.address),
            standing: Set(inventory.namespaces.map(\.uuid)))
    }
}

/// A namespace that shall be there again.
struct LostNamespace {
    /// What it was.
    let label: Label
    /// How a message names it.
    let phrase: String
    /// The file system that it gets where none is recognised.
    var makeFilesystem: String?
    /// Whether drivers may allocate from it, for mode p2pdma.
    var publish = false
}

extension Label {
    /// A namespace as a file describes it.
    init(_ namespace: ConfiguredNamespace, media: String) {
        self.init(
            uuid: namespace.uuid.bytes, name: namespace.name,
            mode: DriverNumber.mode(namespace.mode.rawValue) ?? 0,
            map: DriverNumber.map(namespace.map?.rawValue) ?? 0, offset: namespace.offset,
            size: namespace.size, media: UInt32(DriverNumber.media(media) ?? 0),
            number: namespace.number ?? 0)
    }
}
