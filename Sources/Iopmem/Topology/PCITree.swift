// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// PCI functions and the bridges above them.
public struct PCITree: Sendable {
    /// A function and its place.
    struct Node: Sendable {
        let device: Device
        /// The host bridge that it is below, as sysfs calls it: `pci0000:00`.
        let hostBridge: String
        /// The PCI bridge above it; nil on a root bus.
        let parent: PCIAddress?
    }

    private let list: DeviceList
    private let nodes: [PCIAddress: Node]

    /// Every function, in BDF order.
    public var devices: [Device] { list.devices }

    /// The functions of a machine, as they were listed; one that has gone since is left out.
    public init(_ listed: DeviceList, root: SystemRoot) {
        var nodes: [PCIAddress: Node] = [:]
        for device in listed.devices {
            guard let path = root.realPath(device.sysfsPath) else { continue }
            let parts = path.split(separator: "/").map(String.init)
            // A host bridge may hang below another one's device, as Intel's VMD does.
            guard let top = parts.lastIndex(where: Self.isHostBridge) else { continue }
            nodes[device.address] = Node(
                device: device, hostBridge: parts[top],
                parent: parts[(top + 1)...].dropLast().last.flatMap { PCIAddress($0) })
        }
        self.nodes = nodes
        var list = listed
        list.devices.removeAll { nodes[$0.address] == nil }
        self.list = list
    }

    private static func isHostBridge(_ name: String) -> Bool {
        name.hasPrefix("pci") && name.contains(":")
    }

    /// The function at `address`; fails with `.notFound`.
    public func device(at address: PCIAddress) throws(IopmemError) -> Device {
        try list.device(at: address)
    }

    /// A function and the bridges above it, upwards.
    func chain(from address: PCIAddress) -> [Node] {
        var chain: [Node] = []
        var next = nodes[address]
        while let node = next {
            chain.append(node)
            next = node.parent.flatMap { nodes[$0] }
        }
        return chain
    }

    /// A function and the bridges above it, upwards.
    public func upwards(from address: PCIAddress) -> [PCIAddress] {
        chain(from: address).map(\.device.address)
    }

    /// Every host bridge, by its name in sysfs, in order.
    public var hostBridges: [String] { Set(nodes.values.map(\.hostBridge)).sorted() }

    /// The functions on a host bridge's own bus.
    public func children(ofHostBridge name: String) -> [Device] {
        devices.filter { nodes[$0.address]?.hostBridge == name && nodes[$0.address]?.parent == nil }
    }

    /// The functions on the bus below a bridge.
    public func children(of address: PCIAddress) -> [Device] {
        devices.filter { nodes[$0.address]?.parent == address }
    }

    /// The device that the kernel knows a host bridge by: the first one on its bus, if that is number
    /// 00.0 or a root port (drivers/pci/p2pdma.c, pci_host_bridge_dev()).
    func representative(ofHostBridge name: String) -> Device? {
        guard let first = children(ofHostBridge: name).first,
            first.address.devfn == 0 || first.isRootPort
        else { return nil }
        return first
    }
}
