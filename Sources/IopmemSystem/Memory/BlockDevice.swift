// SPDX-License-Identifier: GPL-2.0
public import SystemPackage

/// What sysfs says about a block device: the disk it belongs to, where on it, and
/// the PCI function that does its DMA.
public struct BlockDevice: Sendable, Equatable {
    /// The kernel's name, `nvme0n1p2`.
    public let name: String
    /// The name of the whole disk, `nvme0n1`.
    public let disk: String
    /// Bytes from the start of the disk; 0 for a whole disk.
    public let start: UInt64
    /// The BDF of the PCI function behind it, as sysfs spells it; nil where its
    /// driver does no DMA of its own (loop, zram) or is not on PCI.
    public let pciFunction: String?

    /// Reads `/sys/dev/block/MAJOR:MINOR`; ENXIO if there is none.
    public init(_ node: DeviceNumber, root: SystemRoot) throws(Errno) {
        guard let path = root.realPath("/sys/dev/block/\(node)") else {
            throw .noSuchAddressOrDevice
        }
        var components = path.split(separator: "/").map(String.init)
        guard let name = components.last else { throw .noSuchAddressOrDevice }
        self.name = name
        if root.exists("\(path)/partition") {
            components.removeLast()
            disk = components.last ?? name
            // Always in units of 512 bytes, whatever the disk's block size.
            start = try root.number("\(path)/start") * 512
        } else {
            disk = name
            start = 0
        }
        let diskPath = "/" + components.joined(separator: "/")
        pciFunction =
            Self.function(in: diskPath) ?? Self.functionOfMultipath(diskPath, root: root)
    }

    /// The last component that is spelled like a BDF, `0000:03:00.0`.
    static func function(in path: String) -> String? {
        let components: [Substring] = path.split(separator: "/")
        return components.last { component in
            let parts: [Substring] = component.split(separator: ":")
            return parts.count == 3 && parts[0].count >= 4 && parts[2].count == 4
                && parts[2].dropFirst(2).first == "."
        }.map(String.init)
    }

    /// NVMe multipath shows a disk without a parent; its subsystem links to the
    /// controllers. With more than one it is not known which does the DMA.
    private static func functionOfMultipath(_ path: String, root: SystemRoot) -> String? {
        let subsystem = "\(path)/device"
        let functions = ((try? root.entries(subsystem)) ?? [])
            .filter { $0.hasPrefix("nvme") }
            .compactMap { root.realPath("\(subsystem)/\($0)") }
            .compactMap(function(in:))
        return Set(functions).count == 1 ? functions.first : nil
    }
}
