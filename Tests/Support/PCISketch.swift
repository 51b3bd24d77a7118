// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// A machine of PCI functions as a test wants them, with registers that libpci reads.
public struct PCISketch {
    /// What a function is, as its registers tell it.
    public struct Function {
        /// The vendor's id.
        public var vendor: UInt16 = 0x8086
        /// The device's id.
        public var device: UInt16 = 0x1234
        /// Base class and subclass.
        public var classCode: UInt16
        /// Device or port type of the PCI Express capability; nil for a conventional device.
        public var type: UInt8? = 0
        /// The ACS Control register; nil where there is no such capability.
        public var acs: UInt16?
        /// The Command register.
        public var command: UInt16 = 6
        /// Bytes of the configuration space that can be read: 64 for others than root.
        public var visible = 4096
        /// A memory BAR 2, 64-bit prefetchable.
        public var memory: Range<UInt64>?
        /// Its driver.
        public var driver: String?

        /// A memory card.
        public static func card(at start: UInt64 = 0xe000_0000) -> Function {
            Function(classCode: 0x0500, memory: start..<start + (256 << 20))
        }
        /// An NVMe drive with its driver.
        public static var drive: Function { Function(classCode: 0x0108, driver: "nvme") }
        /// A root port, with or without ACS.
        public static func rootPort(acs: UInt16? = nil) -> Function {
            Function(classCode: 0x0604, type: 4, acs: acs)
        }
        /// A switch's upstream port.
        public static var upstream: Function { Function(classCode: 0x0604, type: 5) }
        /// A switch's downstream port, with or without ACS.
        public static func downstream(acs: UInt16? = nil) -> Function {
            Function(classCode: 0x0604, type: 6, acs: acs)
        }
        /// A host bridge's function 00.0.
        public static func hostBridge(_ vendor: UInt16 = 0x8086, _ device: UInt16) -> Function {
            Function(vendor: vendor, device: device, classCode: 0x0600, type: nil)
        }
    }

    /// Where it is.
    public let tree: TemporaryDirectory
    /// What readers are given.
    public var root: SystemRoot { tree.root }

    /// A machine with nothing but a processor: Intel's, or with a family, AMD's of that family.
    public init(release: String = "7.3.4", amdFamily: Int? = nil) throws {
        tree = try TemporaryDirectory()
        try tree.makeDirectory("/sys/bus/pci/devices")
        try tree.write(release, to: "/proc/sys/kernel/osrelease")
        let vendor = amdFamily == nil ? "GenuineIntel" : "AuthenticAMD"
        try tree.write(
            "processor\t: 0\nvendor_id\t: \(vendor)\ncpu family\t: \(amdFamily ?? 6)\nmodel\t\t: 1",
            to: "/proc/cpuinfo")
    }

    /// Adds a function below bridges, like `pci0000:00/0000:00:04.0/0000:01:00.0`.
    public func add(_ path: String, _ function: Function) throws {
        let directory = "/sys/devices/\(path)"
        let address = path.split(separator: "/").last.map(String.init) ?? ""
        for (name, value) in [
            ("vendor", Self.hex(function.vendor, 4)), ("device", Self.hex(function.device, 4)),
            ("class", Self.hex(function.classCode, 4) + "00"), ("irq", "0"), ("numa_node", "-1"),
        ] { try tree.write(value, to: "\(directory)/\(name)") }
        var lines = [String](repeating: "\(Self.zero) \(Self.zero) \(Self.zero)", count: 13)
        if let memory = function.memory {
            lines[2] = [memory.lowerBound, memory.upperBound - 1, 0x14_220c]
                .map { Self.hex($0, 16) }.joined(separator: " ")
        }
        try tree.write(lines.joined(separator: "\n"), to: "\(directory)/resource")
        try tree.write(Self.registers(of: function), to: "\(directory)/config")
        if let driver = function.driver {
            try tree.makeDirectory("/sys/bus/pci/drivers/\(driver)")
            let up = String(repeating: "../", count: path.split(separator: "/").count + 1)
            try tree.link("\(directory)/driver", to: "\(up)bus/pci/drivers/\(driver)")
        }
        try tree.link("/sys/bus/pci/devices/\(address)", to: "../../../devices/\(path)")
    }

    /// Puts a file beside a function's own.
    public func set(_ attribute: String, of path: String, to value: String) throws {
        try tree.write(value, to: "/sys/devices/\(path)/\(attribute)")
    }

    private static func registers(of function: Function) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: function.visible)
        func put(_ value: UInt16, at offset: Int) {
            for (index, byte) in [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)].enumerated()
            where offset + index < bytes.count { bytes[offset + index] = byte }
        }
        put(function.vendor, at: 0)
        put(function.device, at: 2)
        put(function.command, at: 4)
        put(function.classCode, at: 10)
        put(function.classCode == 0x0604 ? 1 : 0, at: 14)
        guard let type = function.type else { return bytes }
        // Status: there are capabilities. The first is at 0x40: PCI Express.
        put(0x10, at: 6)
        put(0x40, at: 0x34)
        put(0x10, at: 0x40)
        put(UInt16(type) << 4 | 2, at: 0x42)
        // The first extended one is at 0x100: Access Control Services.
        if let acs = function.acs {
            put(0x0d, at: 0x100)
            put(1, at: 0x102)
            put(acs, at: 0x106)
        }
        return bytes
    }

    private static let zero = hex(UInt64(0), 16)

    private static func hex(_ value: some BinaryInteger, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
