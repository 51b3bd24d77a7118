// SPDX-License-Identifier: GPL-2.0

/// Which memory the area was made on. Only a hint for people: nothing is refused
/// because of it, since a card may get another revision or sit behind another BAR.
public struct DeviceHint: Equatable, Sendable {
    /// PCI vendor.
    public var vendor: UInt16
    /// PCI device.
    public var device: UInt16
    /// The BAR's number.
    public var bar: UInt8
    /// Bytes of the region.
    public var regionSize: UInt64

    /// That memory.
    public init(vendor: UInt16, device: UInt16, bar: UInt8, regionSize: UInt64) {
        self.vendor = vendor
        self.device = device
        self.bar = bar
        self.regionSize = regionSize
    }

    func put(into bytes: inout [UInt8], at offset: Int) {
        bytes.put(vendor, at: offset)
        bytes.put(device, at: offset + 2)
        bytes.put(bar, at: offset + 4)
        bytes.put(regionSize, at: offset + 8)
    }

    init(_ bytes: [UInt8], at offset: Int) {
        self.init(
            vendor: bytes.number(at: offset, as: UInt16.self),
            device: bytes.number(at: offset + 2, as: UInt16.self), bar: bytes[offset + 4],
            regionSize: bytes.number(at: offset + 8, as: UInt64.self))
    }
}
