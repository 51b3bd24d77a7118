// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// The link between a function and what is above it.
public struct PCILink: Sendable, Equatable {
    /// Transfers per second and lane, in tenths of 10⁹: 80 for 8.0 GT/s.
    public var speed: Int
    /// Lanes.
    public var width: Int
    /// What this side could do; nil where the kernel does not say.
    public var maxSpeed: Int?
    /// The same of lanes.
    public var maxWidth: Int?

    /// That link.
    public init(speed: Int, width: Int, maxSpeed: Int? = nil, maxWidth: Int? = nil) {
        self.speed = speed
        self.width = width
        self.maxSpeed = maxSpeed
        self.maxWidth = maxWidth
    }

    /// What sysfs says of a function; nil where it has no link, as on a root
    /// complex, or where that is down.
    public init?(of directory: String, root: SystemRoot) {
        func speed(_ attribute: String) -> Int? {
            root.optionalText("\(directory)/\(attribute)").flatMap(Self.tenths)
        }
        func width(_ attribute: String) -> Int? {
            root.optionalText("\(directory)/\(attribute)").flatMap { Int($0) }
                .flatMap { (1...32).contains($0) ? $0 : nil }
        }
        guard let speed = speed("current_link_speed"), let width = width("current_link_width")
        else { return nil }
        self.init(
            speed: speed, width: width,
            maxSpeed: root.optionalText("\(directory)/max_link_speed").flatMap(Self.tenths),
            maxWidth: root.optionalText("\(directory)/max_link_width").flatMap { Int($0) })
    }

    /// `8.0 GT/s PCIe`, as the kernel writes it (pci_speed_string()); nil for `Unknown`.
    private static func tenths(_ text: String) -> Int? {
        let parts = text.split(separator: " ")
        guard parts.count >= 2, parts[1] == "GT/s" else { return nil }
        let digits = parts[0].split(separator: ".", maxSplits: 1)
        guard let whole = Int(digits[0]) else { return nil }
        return whole * 10 + (digits.count > 1 ? digits[1].first?.wholeNumberValue ?? 0 : 0)
    }

    /// What the link can carry in one direction, in bytes per second, before the
    /// packets' headers: 8b/10b up to 5 GT/s, 128b/130b up to 32 GT/s, then flits
    /// of 256 bytes with 20 bytes of checks (PCI Express Base Specification, the
    /// physical layer's encodings).
    public var bandwidth: UInt64 {
        let bits = UInt64(speed) * 100_000_000 * UInt64(width)
        return switch speed {
        case ...50: bits / 8 * 8 / 10
        case ...320: bits / 8 * 128 / 130
        default: bits / 8 * 236 / 256
        }
    }

    /// Whether it could be faster than it is.
    public var isReduced: Bool {
        speed < maxSpeed ?? speed || width < maxWidth ?? width
    }
}

extension PCILink: CustomStringConvertible {
    /// `8.0 GT/s x4, 3.9 GB/s`, with what it could be where that is more.
    public var description: String {
        let could =
            isReduced ? " of \(Self.words(maxSpeed ?? speed)) x\(maxWidth ?? width)" : ""
        let tenths = bandwidth / 100_000_000
        return "\(Self.words(speed)) x\(width)\(could), \(tenths / 10).\(tenths % 10) GB/s"
    }

    private static func words(_ speed: Int) -> String { "\(speed / 10).\(speed % 10) GT/s" }
}

extension PCILink: Encodable {
    private enum CodingKeys: String, CodingKey {
        case speed, width
        case maxSpeed = "max_speed"
        case maxWidth = "max_width"
        case bandwidth
    }

    /// The object of a device's "link": transfers per second, lanes, bytes per second.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(UInt64(speed) * 100_000_000, forKey: .speed)
        try container.encode(width, forKey: .width)
        try container.encodeIfPresent(
            maxSpeed.map { UInt64($0) * 100_000_000 }, forKey: .maxSpeed)
        try container.encodeIfPresent(maxWidth, forKey: .maxWidth)
        try container.encode(bandwidth, forKey: .bandwidth)
    }
}
