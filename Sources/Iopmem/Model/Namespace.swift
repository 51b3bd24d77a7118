// SPDX-License-Identifier: GPL-2.0

/// A contiguous slice of a region with a mode.
public struct Namespace: Sendable, Equatable {
    /// The kernel's name, `iopmem0n1`.
    public var dev: String
    /// Its number within the region, from 1.
    public var id: UInt32
    /// The user's name; empty if none was given.
    public var name: String
    /// Its lasting identity.
    public var uuid: NamespaceUUID
    /// How its pages can be reached.
    public var mode: Mode
    /// Where its struct pages live; nil where there are none.
    public var map: PageMap?
    /// Bytes.
    public var size: UInt64
    /// Bytes that start and size are multiples of.
    public var align: UInt64
    /// The kernel's name of its region.
    public var region: String
    /// The PCI function whose memory it is.
    public var device: PCIAddress
    /// The BAR of that function.
    public var bar: Int
    /// Bytes from the start of the region, and so of the BAR.
    public var offset: UInt64
    /// The CPU address of its first byte.
    public var physicalAddress: UInt64
    /// How the kernel's own mapping is cached: `wb`, `wc`, `uc-`, ….
    public var cacheKernel: String?
    /// How a user's mapping is cached; nil where there is none.
    public var cacheUser: String?
    /// The NUMA node next to the device; -1 if the platform does not say.
    public var numaNode: Int
    /// Whether it can be used.
    public var state: State
    /// What happens to its contents without power: `volatile` or `persistent`.
    public var media: String?
    /// How often its node is open, mounts and partitions included.
    public var openers: Int
    /// Whether drivers may allocate from it, for mode p2pdma; nil for others.
    public var isPublished: Bool?
    /// "COMM[PID]" of the latest open, as the driver remembers it.
    public var lastOpener: String?
    /// The file system on the whole node, where one was recognised.
    public var filesystem: Filesystem?
    /// Who holds it. Empty also where the caller may not see them.
    public var holders: [Holder] = []

    /// The node through which it is used.
    ///
    /// For `p2pdma` that is the kernel's own file below the PCI function.
    public var path: String {
        switch mode {
        case .devdax: "/dev/" + dev.replacing(prefix: "iopmem", with: "iopdax")
        case .p2pdma: "/sys/bus/pci/devices/\(device)/p2pmem/allocate"
        default: "/dev/\(dev)"
        }
    }

    /// Its bytes of the region.
    var range: Range<UInt64> { offset..<offset + size }

    /// Whether its node is a block device.
    public var isBlock: Bool { mode.isBlock }

    /// The subsystem that its node, or without one it itself, belongs to.
    var subsystem: String { mode.subsystem }
}

extension Namespace {
    /// How the pages of a namespace can be reached.
    public struct Mode: RawRepresentable, Hashable, Sendable, Codable {
        /// The contract's word.
        public let rawValue: String
        /// Any word, so that a newer driver's modes can be shown.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// Block node, `-o dax`, O_DIRECT from any driver.
        public static let fsdax = Mode(rawValue: "fsdax")
        /// Character node for mappings and long-term pins.
        public static let devdax = Mode(rawValue: "devdax")
        /// The kernel's own peer-to-peer memory.
        public static let p2pdma = Mode(rawValue: "p2pdma")
        /// Block node without struct pages.
        public static let raw = Mode(rawValue: "raw")
        /// Whether namespaces of this mode are block devices.
        public var isBlock: Bool { self == .fsdax || self == .raw }
        /// Whether they have struct pages.
        var hasPages: Bool { self != .raw }
        /// The subsystem of what udev knows about them.
        var subsystem: String { isBlock ? "block" : DriverFacts.name }
        /// Every mode of the contract.
        public static let all: [Mode] = [.fsdax, .devdax, .p2pdma, .raw]
    }

    /// Where the struct pages of a namespace live.
    public struct PageMap: RawRepresentable, Hashable, Sendable, Codable {
        /// The contract's word.
        public let rawValue: String
        /// Any word, so that a newer driver's maps can be shown.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// In system RAM.
        public static let mem = PageMap(rawValue: "mem")
        /// In the BAR itself.
        public static let dev = PageMap(rawValue: "dev")
    }

    /// Whether a namespace can be used.
    public struct State: RawRepresentable, Hashable, Sendable, Codable {
        /// The contract's word.
        public let rawValue: String
        /// Any word, so that a newer driver's states can be shown.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// It can be used.
        public static let enabled = State(rawValue: "enabled")
        /// It is being taken away.
        public static let dying = State(rawValue: "dying")
        /// It was taken away from its users.
        public static let revoked = State(rawValue: "revoked")
    }

    /// A recognised file system, or what else has a signature there.
    public struct Filesystem: Sendable, Equatable, Encodable {
        /// libblkid's word: `ext4`, `xfs`, `LVM2_member`, ….
        public var type: String
        /// Its own identity, if it has one.
        public var uuid: String?
        /// Where it is mounted first, if it is.
        public var mountpoint: String?

        /// A file system as found.
        public init(type: String, uuid: String? = nil, mountpoint: String? = nil) {
            self.type = type
            self.uuid = uuid
            self.mountpoint = mountpoint
        }
    }

    /// Somebody who keeps a namespace from being destroyed.
    public struct Holder: Hashable, Sendable, Encodable {
        /// `mount`, `swap`, `share`, `dm` (also md), `loop` or `process`.
        public var kind: String
        /// The mount point, the NQN, the holding device, or the program's name.
        public var name: String
        /// The process, for kind `process`; for a mount that only a container
        /// sees, a process in it.
        public var pid: Int32?

        /// A holder as found.
        public init(kind: String, name: String, pid: Int32? = nil) {
            self.kind = kind
            self.name = name
            self.pid = pid
        }
    }
}

extension Namespace.Holder: CustomStringConvertible {
    /// How a message names it: `mounted on /mnt`, `process fio (pid 12)`.
    public var description: String {
        switch (kind, pid) {
        case ("mount", nil): "mounted on \(name)"
        case ("mount", let pid?): "mounted on \(name) in a container (process \(pid))"
        case ("swap", _): "used as swap space (\(name))"
        case ("share", _): "shared as \(name)"
        case (_, let pid?): "\(kind) \(name) (pid \(pid))"
        default: "\(kind) \(name)"
        }
    }
}

extension Namespace: Encodable {
    private enum CodingKeys: String, CodingKey {
        case dev, name, uuid, mode, map, size, align, region, device, bar, offset
        case physicalAddress = "physical_address"
        case path, cache
        case numaNode = "numa_node"
        case state, media
        case isPublished = "published"
        case filesystem, holders
    }

    private enum CacheKeys: String, CodingKey {
        case kernel, user
    }

    /// The object of `list -o json`'s "namespaces"; keys without a value are
    /// left out.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(dev, forKey: .dev)
        if !name.isEmpty { try container.encode(name, forKey: .name) }
        try container.encode(uuid, forKey: .uuid)
        try container.encode(mode.rawValue, forKey: .mode)
        try container.encodeIfPresent(map?.rawValue, forKey: .map)
        try container.encode(size, forKey: .size)
        try container.encode(align, forKey: .align)
        try container.encode(region, forKey: .region)
        try container.encode(device, forKey: .device)
        try container.encode(bar, forKey: .bar)
        try container.encode(offset, forKey: .offset)
        try container.encode(physicalAddress, forKey: .physicalAddress)
        try container.encode(path, forKey: .path)
        if cacheKernel != nil || cacheUser != nil {
            var cache = container.nestedContainer(keyedBy: CacheKeys.self, forKey: .cache)
            try cache.encodeIfPresent(cacheKernel, forKey: .kernel)
            try cache.encodeIfPresent(cacheUser, forKey: .user)
        }
        try container.encode(numaNode, forKey: .numaNode)
        try container.encode(state.rawValue, forKey: .state)
        try container.encodeIfPresent(media, forKey: .media)
        try container.encodeIfPresent(isPublished, forKey: .isPublished)
        try container.encodeIfPresent(filesystem, forKey: .filesystem)
        if !holders.isEmpty { try container.encode(holders, forKey: .holders) }
    }
}

extension String {
    func replacing(prefix: String, with other: String) -> String {
        hasPrefix(prefix) ? other + dropFirst(prefix.count) : self
    }
}
