// SPDX-License-Identifier: GPL-2.0

/// One memory BAR of a bound device, from which namespaces are cut.
public struct Region: Sendable, Equatable {
    /// The kernel's name, `iopmem0`.
    public var dev: String
    /// The PCI function whose memory it is.
    public var device: PCIAddress
    /// The BAR's number.
    public var bar: Int
    /// Bytes in the BAR.
    public var size: UInt64
    /// Bytes that no namespace has.
    public var availableSize: UInt64
    /// Bytes at its start that belong to labels; 0 if none do, or if nobody has
    /// looked since the device was bound.
    public var labelSize: UInt64
    /// Free space that programs have as dma-bufs: no namespace can be made there.
    public var lent: [Range<UInt64>] = []
    /// The largest namespace that can be made now, in bytes.
    public var maxAvailableExtent: UInt64
    /// The CPU address of its first byte.
    public var physicalAddress: UInt64
    /// Start and size of every namespace are multiples of this many bytes.
    public var align: UInt64
    /// What happens to its contents without power: `volatile` or `persistent`.
    public var media: String
    /// Whether the device says that reads have no side effects.
    public var prefetchable: Bool
    /// What the platform alone makes of a cached mapping: `wb`, `uc`, ….
    public var cachePlatform: String?
    /// What the driver reserved for its own mappings.
    public var cacheKernel: String?
    /// The NUMA node next to the device; -1 if the platform does not say.
    public var numaNode: Int

    /// What its namespaces can be on this kernel; nil where the driver does not say.
    public var modes: [Namespace.Mode]?

    /// Its node, which only root can open.
    public var path: String { "/dev/\(dev)" }

    /// Whether the platform caches the BAR, so that a CPU could see stale data
    /// after another device wrote there.
    public var isCachedByPlatform: Bool { cachePlatform == "wb" }
}

extension Region: Encodable {
    private enum CodingKeys: String, CodingKey {
        case dev
        case device
        case bar
        case size
        case availableSize = "available_size"
        case labelSize = "label_size"
        case maxAvailableExtent = "max_available_extent"
        case physicalAddress = "physical_address"
        case align
        case media
        case prefetchable
        case cache
        case numaNode = "numa_node"
        case capabilities
    }

    private enum CacheKeys: String, CodingKey {
        case platform
        case kernel
    }

    /// The object of `list -o json`'s "regions"; physical_address is a number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(dev, forKey: .dev)
        try container.encode(device, forKey: .device)
        try container.encode(bar, forKey: .bar)
        try container.encode(size, forKey: .size)
        try container.encode(availableSize, forKey: .availableSize)
        if labelSize > 0 { try container.encode(labelSize, forKey: .labelSize) }
        try container.encode(maxAvailableExtent, forKey: .maxAvailableExtent)
        try container.encode(physicalAddress, forKey: .physicalAddress)
        try container.encode(align, forKey: .align)
        try container.encode(media, forKey: .media)
        try container.encode(prefetchable, forKey: .prefetchable)
        if cachePlatform != nil || cacheKernel != nil {
            var cache = container.nestedContainer(keyedBy: CacheKeys.self, forKey: .cache)
            try cache.encodeIfPresent(cachePlatform, forKey: .platform)
            try cache.encodeIfPresent(cacheKernel, forKey: .kernel)
        }
        try container.encode(numaNode, forKey: .numaNode)
        try container.encodeIfPresent(capabilities, forKey: .capabilities)
    }
}

// MARK: - What can be made of it

extension Region {
    /// A mode that namespaces of a region can have, and which sizes they can have then.
    public struct Capability: Sendable, Equatable {
        /// The mode.
        public var mode: Namespace.Mode
        /// Where its struct pages can live; empty for a mode that has none.
        public var maps: [Namespace.PageMap]
        /// Start and size are multiples of this many bytes.
        public var align: UInt64
        /// The smallest namespace, in bytes.
        public var minSize: UInt64
        /// The largest one that can be made now, in bytes; 0 where nothing is free.
        public var maxSize: UInt64
        /// Bytes of system RAM for the struct pages of 1 GiB, with `--map mem`.
        public var memoryPerGiB: UInt64
    }

    /// One for each mode; nil where the driver does not say.
    public var capabilities: [Capability]? {
        modes?.map { mode in
            Capability(
                mode: mode, maps: mode.hasPages ? [.mem] : [], align: align, minSize: align,
                maxSize: maxAvailableExtent,
                memoryPerGiB: mode.hasPages ? StructPages.price(of: 1 << 30, mode) : 0)
        }
    }
}

extension Region.Capability: Encodable {
    private enum CodingKeys: String, CodingKey {
        case mode, maps, align
        case minSize = "min_size"
        case maxSize = "max_size"
        case memoryPerGiB = "memory_per_gib"
    }
}
