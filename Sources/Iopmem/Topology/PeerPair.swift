// SPDX-License-Identifier: GPL-2.0

/// A device whose memory it is, a device that does DMA to it, and what lies between them.
public struct PeerPair: Sendable, Equatable {
    /// Which way a transfer takes, in the words of the kernel's enum pci_p2pdma_map_type.
    public enum Verdict: String, Sendable, Encodable {
        /// By the provider's bus address, within one switch.
        case busAddress = "bus_addr"
        /// Up to the root complex and down again.
        case throughHostBridge = "through_host_bridge"
        /// No way that is known to carry it.
        case notSupported = "not_supported"
        /// It could not be found out.
        case unknown
    }

    /// Whose memory it is.
    public var provider: PCIAddress
    /// Who does DMA to it.
    public var client: PCIAddress
    /// Which way it takes.
    public var verdict: Verdict
    /// Steps from one to the other, as pci_p2pdma_distance() counts them.
    public var distance: Int
    /// Every function from the provider to the client, both included, in this order.
    public var path: [PCIAddress]
    /// Host bridges that it passes: none within a switch, else one or two.
    public var hostBridges: [String]
    /// Bridges on the way whose Access Control Services send requests up.
    public var redirectingBridges: [PCIAddress]
    /// What the IOMMU makes of the client's addresses.
    public var iommu: IOMMUMode
    /// Why it is so.
    public var reason: String
    /// What could be changed; nil where nothing is wanting.
    public var remedy: String?
}

extension PeerPair: Encodable {
    private enum CodingKeys: String, CodingKey {
        case provider, client, verdict, distance, path
        case hostBridges = "host_bridges"
        case redirectingBridges = "acs_redirect"
        case iommu, reason, remedy
    }
}
