// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// The PCI functions of a machine.
public struct DeviceList: Sendable, Equatable {
    /// In BDF order.
    public var devices: [Device]

    /// Reads them through libpci, and their regions from sysfs.
    ///
    /// - Parameter only: At most this one; others are not looked at, which matters
    ///   where udev asks for each function of a large machine.
    public init(root: SystemRoot, only: PCIAddress? = nil) throws(IopmemError) {
        let functions: [PCIFunction]
        do throws(PCIScanError) {
            functions = try PCIFunction.all(root: root, only: only.map { FunctionNumber($0) })
        } catch {
            throw IopmemError(.failed, "cannot read the PCI bus", because: error.message)
        }
        let inventory = try Inventory(root: root)
        let map = DirectMap(root: root)
        devices = functions.map { Device($0, inventory: inventory, map: map, root: root) }
    }

    /// The function at `address`; fails with `.notFound`.
    public func device(at address: PCIAddress) throws(IopmemError) -> Device {
        guard let found = devices.first(where: { $0.address == address }) else {
            throw IopmemError(
                .notFound, "no PCI device \(address)",
                remedy: "show what there is: iopmemctl devices")
        }
        return found
    }

    /// Functions with memory BARs.
    public var withMemory: [Device] {
        devices.filter { $0.bars.contains(where: \.isMemory) }
    }
}

extension Device {
    init(_ function: PCIFunction, inventory: Inventory, map: DirectMap, root: SystemRoot) {
        let address = PCIAddress(
            domain: function.domain, bus: function.bus, device: function.device,
            function: function.function)
        let regions = inventory.regions(of: address)
        let directory = "/sys/bus/pci/devices/\(address)"
        self.init(
            address: address, vendorID: function.vendorID, deviceID: function.deviceID,
            driver: function.driver, numaNode: function.numaNode,
            classCode: function.classCode, isBridge: function.isBridge,
            isRootPort: function.isRootPort, decodesMemory: function.decodesMemory,
            isBusMaster: function.isBusMaster,
            dmaMaskBits: root.optionalText("\(directory)/dma_mask_bits").flatMap { Int($0) },
            isExternal: ["removable": true, "fixed": false][
                root.optionalText("\(directory)/removable") ?? ""],
            redirectsPeers: function.redirectsPeers,
            serial: function.serial, link: PCILink(of: directory, root: root),
            iommuGroup: root.linkName("\(directory)/iommu_group").flatMap { Int($0) },
            iommu: IOMMUMode(groupType: root.optionalText("\(directory)/iommu_group/type")),
            bars: function.bars.filter { $0.flags != 0 && ($0.size != 0 || $0.isForgotten) }.map {
                bar in
                let region = regions.first { $0.bar == bar.index }
                return Bar(
                    index: bar.index, size: bar.size, physicalAddress: bar.start,
                    flags: Self.words(for: bar),
                    problem: region == nil ? Self.problem(of: bar, in: function, map) : nil,
                    region: region?.dev,
                    resizableSizes: Self.resizableSizes(of: bar, directory, root))
            })
    }

    /// A set of sizes in hexadecimal: bit 0 is 1 MiB, bit 1 is 2 MiB, and so on
    /// (Documentation/ABI/testing/sysfs-bus-pci, resourceN_resize).
    private static func resizableSizes(
        of bar: PCIBar, _ directory: String, _ root: SystemRoot
    ) -> [UInt64] {
        let text = root.optionalText("\(directory)/resource\(bar.index)_resize")
        guard let text, let set = UInt64(text, radix: 16) else { return [] }
        // The specification's sizes end at 8 EiB, bit 43.
        return (0..<44).filter { set >> $0 & 1 != 0 }.map { UInt64(1) << (20 + $0) }
    }

    private static func words(for bar: PCIBar) -> [String] {
        [
            bar.isMemory ? "memory" : "io",
            bar.is64Bit ? "64bit" : nil,
            bar.isPrefetchable ? "prefetchable" : nil,
        ].compactMap { $0 }
    }

    /// In the driver's order, so that both give the same reason.
    ///
    /// What user space cannot see is left to the driver: a bus address that differs from the CPU's,
    /// and what kernels take away from the direct map when they randomise its place (KASLR).
    static func problem(
        of bar: PCIBar, in function: PCIFunction, _ map: DirectMap
    ) -> BarProblem? {
        if function.isBridge { return .bridge }
        if !bar.isMemory { return .ports }
        if bar.isForgotten { return .unassigned }
        if bar.size < DriverNumber.align { return .tooSmall(bar.size) }
        if bar.isUnassigned { return .unassigned }
        if function.msixBars?.contains(bar.index) == true { return .interrupts }
        if !bar.isPrefetchable { return .notPrefetchable }
        if let end = map.end, !map.covers(bar) { return .outOfReach(end) }
        if !bar.start.isMultiple(of: DriverNumber.align)
            || !bar.size.isMultiple(of: DriverNumber.align)
        {
            return .misaligned
        }
        return function.msixBars == nil ? .unknown : nil
    }
}
