// SPDX-License-Identifier: GPL-2.0
import CLibPCI
import Glibc

/// A PCI function as libpci sees it.
public struct PCIFunction: Equatable, Sendable {
    /// The PCI segment.
    public var domain: UInt32
    /// The bus.
    public var bus: UInt8
    /// The device on the bus.
    public var device: UInt8
    /// The function of the device.
    public var function: UInt8
    /// The vendor's id.
    public var vendorID: UInt16
    /// The device's id.
    public var deviceID: UInt16
    /// Base class and subclass, 0x0108 for NVMe.
    public var classCode: UInt16
    /// The driver that is bound; nil if there is none.
    public var driver: String?
    /// -1 if the platform does not say.
    public var numaNode: Int
    /// What the header says it is.
    public var isBridge: Bool
    /// Whether the function answers memory accesses (the command register's
    /// memory space bit).
    public var decodesMemory: Bool
    /// Whether it may do DMA (the command register's bus master bit).
    public var isBusMaster: Bool
    /// Whether it is a PCIe root port, by its capability.
    public var isRootPort: Bool
    /// Whether Access Control Services make it send up what could have gone to a peer; nil where
    /// that cannot be seen, because only root may read all of the configuration space.
    public var redirectsPeers: Bool?
    /// The six BARs.
    public var bars: [PCIBar]
    /// Which BARs hold the MSI-X table and pending bits; nil where they cannot
    /// be seen, because only root may read all of the configuration space.
    public var msixBars: Set<Int>?
    /// The device serial number as lspci writes it, `00-11-22-33-44-55-66-77`; nil where the
    /// function has none, or only root may see it.
    public var serial: String?
}

/// A base address register with what the kernel assigned to it.
public struct PCIBar: Equatable, Sendable {
    /// 0…5.
    public var index: Int
    /// The CPU address; 0 if none is assigned.
    public var start: UInt64
    /// Bytes; 0 if it is not implemented, or has no address and the kernel forgot it.
    public var size: UInt64
    /// The kernel's IORESOURCE_ flags.
    public var flags: UInt64

    /// Memory, not I/O ports (IORESOURCE_MEM).
    public var isMemory: Bool { flags & 0x200 != 0 }
    /// Reads have no side effects (IORESOURCE_PREFETCH).
    public var isPrefetchable: Bool { flags & 0x2000 != 0 }
    /// 64 bits wide, taking the next BAR as well (IORESOURCE_MEM_64).
    public var is64Bit: Bool { flags & 0x10_0000 != 0 }
    /// The kernel found no room for it (IORESOURCE_UNSET).
    public var isUnassigned: Bool { start == 0 || flags & 0x2000_0000 != 0 }
    /// The kernel found no room for it, and no longer knows its size.
    public var isForgotten: Bool { size == 0 && flags & 0x2000_0000 != 0 }

    /// That BAR.
    public init(index: Int, start: UInt64, size: UInt64, flags: UInt64) {
        self.index = index
        self.start = start
        self.size = size
        self.flags = flags
    }
}

/// libpci could not look at the bus.
public struct PCIScanError: Error, Equatable, Sendable {
    /// In libpci's words.
    public var message: String
}

extension PCIFunction {
    /// Every function of the machine, or of a captured tree, in BDF order; none
    /// where there is no PCI at all.
    ///
    /// - Parameter only: At most this one, of which alone something is read.
    public static func all(
        root: SystemRoot, only: FunctionNumber? = nil
    ) throws(PCIScanError) -> [PCIFunction] {
        let sysfs = "/sys/bus/pci"
        guard root.exists("\(sysfs)/devices") else { return [] }
        // A function that is unplugged while libpci reads it makes libpci give
        // up; the next scan no longer meets it.
        var attempts = 3
        while true {
            do throws(PCIScanError) {
                return try scan(root.resolve(sysfs), root, only)
            } catch {
                attempts -= 1
                guard attempts > 0 else { throw error }
            }
        }
    }

    private static func scan(
        _ sysfs: String, _ root: SystemRoot, _ only: FunctionNumber?
    ) throws(PCIScanError) -> [PCIFunction] {
        var message = [CChar](repeating: 0, count: 256)
        let wanted =
            only.map { Int64($0.domain) << 16 | Int64($0.bus) << 8 | Int64($0.devfn) } ?? -1
        guard let access = clibpci_scan(sysfs, wanted, &message) else {
            let bytes = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw PCIScanError(message: String(decoding: bytes, as: UTF8.self))
        }
        defer { pci_cleanup(access) }
        var found: [PCIFunction] = []
        var next = access.pointee.devices
        while let device = next {
            if clibpci_is(device, wanted) != 0 {
                found.append(PCIFunction(device, root: root))
            }
            next = device.pointee.next
        }
        return found.sorted {
            ($0.domain, $0.bus, $0.device, $0.function)
                < ($1.domain, $1.bus, $1.device, $1.function)
        }
    }

    private init(
        _ device: UnsafeMutablePointer<pci_dev>, root: SystemRoot
    ) {
        let fields = device.pointee
        domain = UInt32(bitPattern: fields.domain)
        bus = fields.bus
        self.device = fields.dev
        function = fields.func
        vendorID = fields.vendor_id
        deviceID = fields.device_id
        classCode = fields.device_class
        numaNode = Int(fields.numa_node)
        driver = pci_get_string_property(device, UInt32(PCI_FILL_DRIVER))
            .map { String(cString: $0) }
        let header = pci_read_byte(device, PCI_HEADER_TYPE) & 0x7f
        isBridge = header == PCI_HEADER_TYPE_BRIDGE || header == PCI_HEADER_TYPE_CARDBUS
        decodesMemory = pci_read_word(device, PCI_COMMAND) & UInt16(PCI_COMMAND_MEMORY) != 0
        isBusMaster = pci_read_word(device, PCI_COMMAND) & UInt16(PCI_COMMAND_MASTER) != 0
        isRootPort = Self.isRootPort(device)
        redirectsPeers = Self.redirectsPeers(device)
        bars = Self.bars(of: fields)
        msixBars = Self.msixBars(of: device)
        serial = Self.serial(of: device)
        if !isBridge { addForgottenBars(of: device) }
    }

    /// Two words behind the capability's header, the lower one first (PCI Express Base
    /// Specification, "Device Serial Number Extended Capability").
    private static func serial(of device: UnsafeMutablePointer<pci_dev>) -> String? {
        guard
            let capability = pci_find_cap(
                device, UInt32(PCI_EXT_CAP_ID_DSN), UInt32(PCI_CAP_EXTENDED))
        else { return nil }
        let address = Int32(capability.pointee.addr)
        let words = [8, 4].map { pci_read_long(device, address + $0) }
        let bytes = words.flatMap { word in
            stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
        // Neither has been programmed.
        guard bytes.contains(where: { $0 != 0 }), bytes.contains(where: { $0 != 0xff }) else {
            return nil
        }
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: "-")
    }

    /// The device's or port's type: bits 7:4 of the PCI Express Capabilities register (PCI Express
    /// Base Specification, "PCI Express Capabilities Register").
    private static func isRootPort(_ device: UnsafeMutablePointer<pci_dev>) -> Bool {
        guard
            let capability = pci_find_cap(
                device, UInt32(PCI_CAP_ID_EXP), UInt32(PCI_CAP_NORMAL))
        else { return false }
        let flags = pci_read_word(device, Int32(capability.pointee.addr) + PCI_EXP_FLAGS)
        return (flags & UInt16(PCI_EXP_FLAGS_TYPE)) >> 4 == UInt16(PCI_EXP_TYPE_ROOT_PORT)
    }

    /// P2P Request Redirect, P2P Completion Redirect or P2P Egress Control, as the kernel's p2pdma
    /// code looks at them (drivers/pci/p2pdma.c, pci_bridge_has_acs_redir()).
    private static func redirectsPeers(_ device: UnsafeMutablePointer<pci_dev>) -> Bool? {
        guard areCapabilitiesVisible(device) else { return nil }
        // Extended capabilities are PCIe's alone.
        guard pci_find_cap(device, UInt32(PCI_CAP_ID_EXP), UInt32(PCI_CAP_NORMAL)) != nil else {
            return false
        }
        var header: UInt8 = 0
        guard pci_read_block(device, 256, &header, 1) == 1 else { return nil }
        guard
            let capability = pci_find_cap(
                device, UInt32(PCI_EXT_CAP_ID_ACS), UInt32(PCI_CAP_EXTENDED))
        else { return false }
        let control = pci_read_word(device, Int32(capability.pointee.addr) + PCI_ACS_CTRL)
        let redirect = PCI_ACS_CTRL_REQ_RED | PCI_ACS_CTRL_CMPLT_RED | PCI_ACS_CTRL_EGRESS
        return control & UInt16(redirect) != 0
    }

    /// Others than root may read 64 bytes of the configuration space; capabilities are behind them.
    private static func areCapabilitiesVisible(_ device: UnsafeMutablePointer<pci_dev>) -> Bool {
        guard pci_read_word(device, PCI_STATUS) & UInt16(PCI_STATUS_CAP_LIST) != 0 else {
            return true
        }
        var beyond: UInt8 = 0
        return pci_read_block(device, 64, &beyond, 1) == 1
    }

    private static func bars(of fields: pci_dev) -> [PCIBar] {
        func values<CArray>(_ array: CArray) -> [UInt64] {
            withUnsafeBytes(of: array) { Array($0.bindMemory(to: UInt64.self).prefix(6)) }
        }
        let starts = values(fields.base_addr)
        let sizes = values(fields.size)
        let flags = values(fields.flags)
        return (0..<6).map { index in
            // libpci leaves the register's own low bits in the address.
            let mask: UInt64 = flags[index] & 0x100 != 0 ? 0x3 : 0xf
            return PCIBar(
                index: index, start: starts[index] & ~mask, size: sizes[index],
                flags: flags[index])
        }
    }

    /// Where the kernel finds no room for a BAR, it may forget that there is one
    /// (drivers/pci/setup-bus.c, reset_resource()). Its register still tells a 64-bit or prefetchable
    /// one by its lowest bits (PCI 3.0, 6.2.5.1); how large it is, only a write would tell.
    private mutating func addForgottenBars(of device: UnsafeMutablePointer<pci_dev>) {
        for index in bars.indices where bars[index].flags == 0 {
            // The upper half of the one before.
            guard index == 0 || !bars[index - 1].is64Bit else { continue }
            let register = pci_read_long(device, PCI_BASE_ADDRESS_0 + Int32(4 * index))
            let is64Bit = register & 0x6 == 0x4
            let isPrefetchable = register & 0x8 != 0
            guard register & 0x1 == 0, is64Bit || isPrefetchable else { continue }
            bars[index].flags =
                0x2000_0200 | (isPrefetchable ? 0x2000 : 0) | (is64Bit ? 0x10_0000 : 0)
        }
    }

    /// MSI-X table and pending bits: offset 4 and 8 of the capability, whose
    /// low three bits are the BAR's number (PCI 3.0, 6.8.2).
    private static func msixBars(of device: UnsafeMutablePointer<pci_dev>) -> Set<Int>? {
        guard areCapabilitiesVisible(device) else { return nil }
        guard
            let capability = pci_find_cap(
                device, UInt32(PCI_CAP_ID_MSIX), UInt32(PCI_CAP_NORMAL))
        else { return [] }
        let address = Int32(capability.pointee.addr)
        return [4, 8].reduce(into: []) { found, offset in
            found.insert(Int(pci_read_long(device, address + offset) & 7))
        }
    }
}
