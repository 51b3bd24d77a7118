// SPDX-License-Identifier: GPL-2.0

/// Where a PCI function sits, written as a BDF: `0000:03:00.0`.
public struct PCIAddress: Hashable, Sendable, CustomStringConvertible {
    /// The PCI segment; 0 on most machines.
    public var domain: UInt32
    /// The bus.
    public var bus: UInt8
    /// The device on the bus, below 32.
    public var device: UInt8
    /// The function of the device, below 8.
    public var function: UInt8

    /// The kernel's (device << 3) | function.
    public var devfn: UInt8 { device << 3 | function }

    /// The function at these numbers; they must be in range.
    public init(domain: UInt32 = 0, bus: UInt8, device: UInt8, function: UInt8) {
        precondition(device < 32 && function < 8, "not a PCI function number")
        self.domain = domain
        self.bus = bus
        self.device = device
        self.function = function
    }

    /// Reads `0000:03:00.0`, or `03:00.0` in segment 0, as lspci takes them.
    public init?(_ text: some StringProtocol) {
        let colons = text.split(separator: ":", omittingEmptySubsequences: false)
        guard colons.count == 2 || colons.count == 3, let last = colons.last else { return nil }
        let dots = last.split(separator: ".", omittingEmptySubsequences: false)
        guard dots.count == 2 else { return nil }
        let domainText = colons.count == 3 ? String(colons[0]) : "0"
        guard
            let domain = Self.hexadecimal(domainText, digits: 1...8),
            let bus = Self.hexadecimal(colons[colons.count - 2], digits: 1...2),
            let device = Self.hexadecimal(dots[0], digits: 1...2), device < 32,
            let function = Self.hexadecimal(dots[1], digits: 1...1), function < 8
        else { return nil }
        self.init(
            domain: domain, bus: UInt8(bus), device: UInt8(device), function: UInt8(function))
    }

    /// The kernel's spelling, which is also the name in /sys/bus/pci/devices.
    public var description: String {
        let domain = Self.padded(UInt32(domain), 4)
        return
            "\(domain):\(Self.padded(UInt32(bus), 2)):\(Self.padded(UInt32(device), 2)).\(function)"
    }

    private static func padded(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Swift's own radix parser would also take a sign.
    private static func hexadecimal(
        _ text: some StringProtocol, digits: ClosedRange<Int>
    ) -> UInt32? {
        guard digits.contains(text.count), text.allSatisfy(\.isHexDigit) else { return nil }
        return UInt32(text, radix: 16)
    }
}

extension PCIAddress: Comparable {
    /// In the order in which lspci lists them.
    public static func < (left: PCIAddress, right: PCIAddress) -> Bool {
        (left.domain, left.bus, left.devfn) < (right.domain, right.bus, right.devfn)
    }
}

extension PCIAddress: Codable {
    /// Written as its BDF.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Read from a BDF.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = PCIAddress(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a PCI address: \(text)")
        }
        self = address
    }
}
