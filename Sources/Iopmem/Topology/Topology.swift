// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// Which devices can reach which memory, by the kernel's own algorithm, so that it answers also on
/// kernels without p2pdma (drivers/pci/p2pdma.c, calc_map_type_and_dist()).
///
/// Nothing in the kernel asks before a transfer to pages of fsdax and devdax namespaces: there this
/// is the only check.
public struct Topology: Sendable {
    /// The functions.
    public let tree: PCITree
    private let bridges: HostBridgeList

    /// The topology of a machine.
    public init(root: SystemRoot) throws(IopmemError) {
        self.init(try DeviceList(root: root), root: root)
    }

    /// The same of functions that have been listed already.
    init(_ list: DeviceList, root: SystemRoot) {
        tree = PCITree(list, root: root)
        bridges = HostBridgeList(root: root)
    }

    /// Devices with memory for others: those that are bound to the driver, or where none is, those
    /// that could be.
    public var providers: [PCIAddress] {
        let bound = tree.devices.filter(\.isBound)
        let eligible = tree.devices.filter { device in
            !device.isBridge && device.bars.contains(where: \.mayBeRegion)
        }
        return (bound.isEmpty ? eligible : bound).map(\.address)
    }

    /// Devices of the kinds that do DMA for a living, and that have a driver.
    public var clients: [PCIAddress] {
        tree.devices.filter { $0.movesData && $0.driver != nil && !$0.isBound }.map(\.address)
    }

    /// The verdict on each provider with each client but itself; without names, on all of them.
    public func pairs(
        providers: [PCIAddress] = [], clients: [PCIAddress] = []
    ) throws(IopmemError) -> [PeerPair] {
        var pairs: [PeerPair] = []
        for provider in providers.isEmpty ? self.providers : providers {
            for client in clients.isEmpty ? self.clients : clients where client != provider {
                pairs.append(try pair(provider: provider, client: client))
            }
        }
        return pairs
    }

    /// The verdict on one provider with one client; fails with `.notFound`.
    public func pair(
        provider: PCIAddress, client: PCIAddress
    ) throws(IopmemError) -> PeerPair {
        let reader = try tree.device(at: client)
        _ = try tree.device(at: provider)
        let up = tree.chain(from: provider)
        let down = tree.chain(from: client)
        let names = down.map(\.device.address)
        var pair = PeerPair(
            provider: provider, client: client, verdict: .unknown, distance: 0, path: [],
            hostBridges: [], redirectingBridges: [], iommu: reader.iommu, reason: "", remedy: nil)
        guard let meeting = up.firstIndex(where: { names.contains($0.device.address) }),
            let below = names.firstIndex(of: up[meeting].device.address)
        else {
            pair.distance = up.count + down.count
            pair.path = up.map(\.device.address) + names.reversed()
            return throughHostBridge(pair, up, down)
        }
        pair.distance = meeting + below
        pair.path = up[...meeting].map(\.device.address) + names[..<below].reversed()
        // Both ends are looked at too, like the kernel does: a multi-function device may redirect.
        let way = Array(up[...meeting]) + Array(down[..<below])
        pair.redirectingBridges = way.filter { $0.device.redirectsPeers == true }
            .map(\.device.address)
        if !pair.redirectingBridges.isEmpty { return throughHostBridge(pair, up, down) }
        let hidden = way.filter { $0.device.redirectsPeers == nil }.map(\.device.address)
        guard hidden.isEmpty else {
            pair.reason = "only root can see the access control (ACS) of \(Self.listed(hidden))"
            pair.remedy = "run it as root"
            return pair
        }
        pair.verdict = .busAddress
        pair.reason =
            "both are below \(up[meeting].device.address), which keeps transfers to itself"
        if pair.iommu == .translated {
            let isForwarded = throughHostBridge(pair, up, down).verdict == .throughHostBridge
            pair.reason +=
                "; but the IOMMU translates what the client sends: only pages of mode p2pdma"
                + " are reached so, those of fsdax and devdax by way of the root complex, which is"
                + (isForwarded ? "" : " not") + " known to forward such transfers"
            pair.remedy = "boot with iommu=pt where the devices can be trusted"
        }
        return pair
    }

    /// A way that goes up to the root complex.
    private func throughHostBridge(
        _ pair: PeerPair, _ up: [PCITree.Node], _ down: [PCITree.Node]
    ) -> PeerPair {
        var pair = pair
        let names = [up, down].compactMap { $0.last?.hostBridge }
        let isWithin = Set(names).count == 1
        pair.hostBridges = isWithin ? Array(names.prefix(1)) : names
        let heads = pair.hostBridges.map { tree.representative(ofHostBridge: $0) }
        let knows = heads.allSatisfy { bridges.forwards($0, isWithin: isWithin) }
        pair.verdict = bridges.isZen || knows ? .throughHostBridge : .notSupported
        let acs = Self.listed(pair.redirectingBridges)
        let start =
            pair.redirectingBridges.isEmpty
            ? "no PCI bridge is above both" : "access control (ACS) of \(acs) sends transfers up"
        let words = zip(pair.hostBridges, heads).map { name, head in
            head.map { "\(name) (\(PCIPair(vendor: $0.vendorID, device: $0.deviceID)))" } ?? name
        }
        let bridge = words.joined(separator: " and ")
        if bridges.isZen {
            pair.reason = "\(start); the root complex forwards them: an AMD processor, Zen or newer"
        } else if knows {
            pair.reason = "\(start); \(bridge) is known to forward them"
        } else {
            pair.reason =
                "\(start), and \(bridge) is not known to forward them"
                + (isWithin ? "" : " to another host bridge")
        }
        if !pair.redirectingBridges.isEmpty {
            let list = pair.redirectingBridges.map(\.description).joined(separator: ";")
            pair.remedy =
                "boot with pci=disable_acs_redir=\(list), which lets these devices reach each"
                + " other unwatched"
        } else if pair.verdict == .notSupported {
            pair.remedy = "put both devices below one PCIe switch"
        }
        return pair
    }

    private static func listed(_ addresses: [PCIAddress]) -> String {
        addresses.map(\.description).joined(separator: ", ")
    }
}

extension Device {
    /// Whether it is of a kind that does DMA for a living: storage, networks, displays, multimedia,
    /// processors and accelerators, InfiniBand (the base classes of the PCI Code and ID Assignment
    /// Specification).
    var movesData: Bool {
        switch classCode >> 8 {
        case 0x01, 0x02, 0x03, 0x04, 0x0b, 0x12: true
        default: classCode == 0x0c06
        }
    }
}
