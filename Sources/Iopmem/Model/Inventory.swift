// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem
import SystemPackage

/// All regions and namespaces of a machine at one moment, read from sysfs.
///
/// Needs neither root nor the module: without the driver it is empty.
public struct Inventory: Sendable, Equatable {
    /// In the order of their numbers.
    public var regions: [Region]
    /// In the order of regions, then numbers.
    public var namespaces: [Namespace]

    static let classPath = "/sys/class/iopmem"

    /// Those regions and namespaces.
    public init(regions: [Region] = [], namespaces: [Namespace] = []) {
        self.regions = regions
        self.namespaces = namespaces
    }

    /// Reads them below `root`.
    ///
    /// An object that goes away while it is read is left out; one that stands
    /// there but cannot be understood is an error.
    public init(root: SystemRoot) throws(IopmemError) {
        let names: [String]
        do throws(Errno) {
            names = try root.entries(Self.classPath)
        } catch .noSuchFileOrDirectory {
            self.init()
            return
        } catch {
            throw IopmemError(error, "cannot read \(Self.classPath)")
        }
        var regions: [Region] = []
        for name in names.compactMap(KernelName.init) where name.namespace == nil {
            if let region = try Self.region(name, root) { regions.append(region) }
        }
        regions.sort { KernelName.ordered($0.dev, $1.dev) }
        var namespaces: [Namespace] = []
        for name in names.compactMap(KernelName.init) where name.namespace != nil {
            guard let region = regions.first(where: { $0.dev == name.region }) else { continue }
            if let found = try Self.namespace(name, in: region, root) { namespaces.append(found) }
        }
        namespaces.sort { KernelName.ordered($0.dev, $1.dev) }
        self.init(regions: regions, namespaces: namespaces)
    }

    /// The regions of a device.
    public func regions(of device: PCIAddress) -> [Region] {
        regions.filter { $0.device == device }
    }

    /// The namespaces of a region.
    public func namespaces(in region: Region) -> [Namespace] {
        namespaces.filter { $0.region == region.dev }
    }

    private static func region(_ name: KernelName, _ root: SystemRoot) throws(IopmemError)
        -> Region?
    {
        try reading(name.text, root) { object throws(Errno) in
            guard let device = object.parent.flatMap({ PCIAddress($0) }) else {
                throw Errno.noSuchFileOrDirectory
            }
            return Region(
                dev: name.text,
                device: device,
                bar: Int(try object.number("bar")),
                size: try object.number("size"),
                availableSize: try object.number("available_size"),
                labelSize: object.optionalText("label_size").flatMap { UInt64($0) } ?? 0,
                lent: lent(object.optionalText("lent") ?? ""),
                maxAvailableExtent: try object.number("max_available_extent"),
                physicalAddress: try object.number("physical_address"),
                align: try object.number("align"),
                media: try object.text("media"),
                prefetchable: try object.number("prefetchable") != 0,
                cachePlatform: object.optionalText("cache_platform"),
                cacheKernel: object.optionalText("cache_kernel"),
                numaNode: object.optionalText("numa_node").flatMap { Int($0) } ?? -1,
                modes: object.optionalText("modes").map { words in
                    words.split(separator: " ").map { Namespace.Mode(rawValue: String($0)) }
                })
        }
    }

    /// Words of the form OFFSET+LENGTH.
    private static func lent(_ text: String) -> [Range<UInt64>] {
        text.split(separator: " ").compactMap { word in
            let numbers = word.split(separator: "+").compactMap { UInt64($0) }
            guard numbers.count == 2 else { return nil }
            let (end, overflows) = numbers[0].addingReportingOverflow(numbers[1])
            return overflows ? nil : numbers[0]..<end
        }
    }

    private static func namespace(
        _ name: KernelName, in region: Region, _ root: SystemRoot
    ) throws(IopmemError) -> Namespace? {
        try reading(name.text, root) { object throws(Errno) in
            guard let uuid = NamespaceUUID(try object.text("uuid")) else {
                throw Errno.invalidArgument
            }
            let map = try object.text("map")
            let mode = Namespace.Mode(rawValue: try object.text("mode"))
            return Namespace(
                dev: name.text,
                id: UInt32(clamping: try object.number("id")),
                name: try object.text("name"),
                uuid: uuid,
                mode: mode,
                map: map == "none" ? nil : Namespace.PageMap(rawValue: map),
                size: try object.number("size"),
                align: try object.number("align"),
                region: region.dev,
                device: region.device,
                bar: region.bar,
                offset: try object.number("offset"),
                physicalAddress: try object.number("physical_address"),
                cacheKernel: object.optionalText("cache_kernel"),
                cacheUser: object.optionalText("cache_user"),
                numaNode: object.optionalText("numa_node").flatMap { Int($0) } ?? -1,
                state: Namespace.State(rawValue: try object.text("state")),
                media: region.media,
                openers: Int(try object.number("openers")),
                isPublished: mode == .p2pdma
                    ? root.optionalText("/sys/bus/pci/devices/\(region.device)/p2pmem/published")
                        .map { $0 == "1" } : nil,
                lastOpener: object.optionalText("last_opener"))
        }
    }

    /// Distinguishes "it has gone meanwhile" (nil) from "it cannot be read".
    private static func reading<Object>(
        _ name: String, _ root: SystemRoot,
        _ body: (SysfsObject) throws(Errno) -> Object
    ) throws(IopmemError) -> Object? {
        let object = SysfsObject(root: root, path: "\(classPath)/\(name)")
        do throws(Errno) {
            return try body(object)
        } catch {
            guard root.exists("\(object.path)/uevent") else { return nil }
            throw IopmemError(
                error, "cannot read the attributes of \(name) in \(object.path)",
                remedy: "check that tool and driver belong together: iopmemctl doctor")
        }
    }
}

/// One directory of /sys/class/iopmem.
struct SysfsObject {
    let root: SystemRoot
    let path: String

    func text(_ attribute: String) throws(Errno) -> String {
        try root.text("\(path)/\(attribute)")
    }

    /// Nil where the attribute is absent or empty.
    func optionalText(_ attribute: String) -> String? {
        guard let text = root.optionalText("\(path)/\(attribute)"), !text.isEmpty else {
            return nil
        }
        return text
    }

    func number(_ attribute: String) throws(Errno) -> UInt64 {
        try root.number("\(path)/\(attribute)")
    }

    /// The name of the device that it hangs below.
    var parent: String? { root.linkName("\(path)/device") }
}
