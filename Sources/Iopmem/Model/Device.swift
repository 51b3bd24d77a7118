// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// A PCI function, with what iopmem could make of its memory.
public struct Device: Sendable, Equatable {
    /// Where it sits.
    public var address: PCIAddress
    /// The vendor's id.
    public var vendorID: UInt16
    /// The device's id.
    public var deviceID: UInt16
    /// Vendor and device in words.
    public var name: String { PCINames.shared.name(vendor: vendorID, device: deviceID) }
    /// The driver that is bound; nil if there is none.
    public var driver: String?
    /// -1 if the platform does not say.
    public var numaNode: Int
    /// Base class and subclass, 0x0108 for NVMe.
    public var classCode: UInt16
    /// A bridge's memory is never a region.
    public var isBridge: Bool
    /// Whether it is a PCIe root port.
    public var isRootPort: Bool
    /// Whether it answers memory accesses at the moment.
    public var decodesMemory: Bool
    /// Whether it may do DMA at the moment.
    public var isBusMaster: Bool
    /// How many bits of an address its DMA can have, by its driver; nil where the kernel does not say.
    public var dmaMaskBits: Int?
    /// Whether it is behind a port that is open to the outside, such as Thunderbolt; nil if the
    /// platform does not say.
    public var isExternal: Bool?
    /// Whether Access Control Services make it send up what could have gone to a peer; nil where
    /// only root may see it.
    public var redirectsPeers: Bool?
    /// The device serial number as lspci writes it; nil where there is none, or only root may see it.
    public var serial: String?
    /// Its link; nil where it has none.
    public var link: PCILink?
    /// The IOMMU's unit of isolation that it is in; nil where there is none.
    public var iommuGroup: Int?
    /// What the IOMMU makes of its addresses.
    public var iommu: IOMMUMode
    /// The BARs that it implements.
    public var bars: [Bar]

    /// Where sysfs has it.
    public var sysfsPath: String { "/sys/bus/pci/devices/\(address)" }

    /// Whether it is bound to our driver.
    public var isBound: Bool { driver == DriverFacts.name }

    /// A base address register and the verdict on it.
    public struct Bar: Sendable, Equatable {
        /// 0…5.
        public var index: Int
        /// Bytes; 0 where no address was assigned, and the kernel does not say how many.
        public var size: UInt64
        /// The CPU address of its first byte; 0 if none is assigned.
        public var physicalAddress: UInt64
        /// In words: `memory` or `io`, `64bit`, `prefetchable`.
        public var flags: [String]
        /// Why it cannot be a region; nil if it can.
        public var problem: BarProblem?
        /// The region that it is, once bound.
        public var region: String?
        /// Sizes in bytes that it could be given (resizable BAR), in order; empty
        /// where it cannot be resized, or the kernel does not say.
        public var resizableSizes: [UInt64] = []

        /// Whether it holds memory and not I/O ports.
        public var isMemory: Bool { flags.contains("memory") }

        /// Whether nothing is known that keeps it from being a region.
        public var mayBeRegion: Bool { problem == nil || problem == .unknown }
    }
}

/// Why a BAR cannot be a region; the same verdicts as the driver's.
public enum BarProblem: Sendable, Equatable {
    /// It belongs to a bridge.
    case bridge
    /// I/O ports.
    case ports
    /// Smaller than the smallest namespace.
    case tooSmall(UInt64)
    /// Firmware and kernel found no address for it.
    case unassigned
    /// The MSI-X table or pending bits are in it.
    case interrupts
    /// Reads may have side effects; `--force` accepts it.
    case notPrefetchable
    /// It ends above this address, up to which the kernel can make struct pages.
    case outOfReach(UInt64)
    /// Start or size is no multiple of the alignment.
    case misaligned
    /// Only root can see whether the MSI-X table is in it.
    case unknown

    /// The reason in words.
    public var reason: String {
        switch self {
        case .bridge: "belongs to a bridge"
        case .ports: "I/O ports, not memory"
        case .tooSmall(let size):
            "too small: \(size) bytes, at least \(DriverNumber.align) are needed"
        case .unassigned: "no address was assigned; firmware or bridge windows lack the space"
        case .interrupts: "holds the MSI-X table or pending bits of the device"
        case .notPrefetchable: "not prefetchable: reads may have side effects (--force accepts it)"
        case .outOfReach(let end):
            "above 0x\(String(end - 1, radix: 16)), the highest address for which this kernel makes"
                + " struct pages"
        case .misaligned: "not aligned to \(DriverNumber.align) bytes"
        case .unknown: "only root can see whether it holds the device's MSI-X table"
        }
    }

    /// Whether `--force` makes the BAR a region all the same.
    public var yieldsToForce: Bool { self == .notPrefetchable }

    /// Whether it may be gone when the BAR has been given another size.
    var mayGoWithAnotherSize: Bool {
        switch self {
        case .tooSmall, .unassigned, .misaligned: true
        default: false
        }
    }
}

/// What the tool knows about the driver beforehand.
public enum DriverFacts {
    /// Its name, on the PCI bus and as a module.
    public static let name = "iopmem"
    /// Where sysfs has it once it is loaded.
    public static let sysfsPath = "/sys/bus/pci/drivers/iopmem"
}

extension Device: Encodable {
    private enum CodingKeys: String, CodingKey {
        case device, vendor, product, description, serial, driver
        case numaNode = "numa_node"
        case iommuGroup = "iommu_group"
        case link, bars
    }

    /// The object of `devices -o json`; ids are written like 0x1af4.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(address, forKey: .device)
        try container.encode(Self.hexadecimal(vendorID), forKey: .vendor)
        try container.encode(Self.hexadecimal(deviceID), forKey: .product)
        try container.encode(name, forKey: .description)
        try container.encodeIfPresent(serial, forKey: .serial)
        try container.encodeIfPresent(driver, forKey: .driver)
        try container.encode(numaNode, forKey: .numaNode)
        try container.encodeIfPresent(iommuGroup, forKey: .iommuGroup)
        try container.encodeIfPresent(link, forKey: .link)
        try container.encode(bars, forKey: .bars)
    }

    private static func hexadecimal(_ id: UInt16) -> String {
        let digits = String(id, radix: 16)
        return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}

extension Device.Bar: Encodable {
    private enum CodingKeys: String, CodingKey {
        case bar, size
        case physicalAddress = "physical_address"
        case flags, eligible, reason, region
        case resizableSizes = "resizable_sizes"
    }

    /// The object of a device's "bars"; `eligible` is left out where only root
    /// could tell.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(index, forKey: .bar)
        try container.encode(size, forKey: .size)
        try container.encode(physicalAddress, forKey: .physicalAddress)
        try container.encode(flags, forKey: .flags)
        if problem != .unknown { try container.encode(problem == nil, forKey: .eligible) }
        try container.encodeIfPresent(problem?.reason, forKey: .reason)
        try container.encodeIfPresent(region, forKey: .region)
        if !resizableSizes.isEmpty { try container.encode(resizableSizes, forKey: .resizableSizes) }
    }
}
