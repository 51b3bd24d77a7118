// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// The PCI functions of a machine.
public struct DeviceList: Sendable, Equatable {
    /// In BDF order.
    public var devices: [Device]

    /// Reads them through libpci, and their regions from sysfs.
    public init(root: SystemRoot) throws(IopmemError) {
        let functions: [PCIFunction]
        do throws(PCIScanError) {
            functions = try PCIFunction.all(root: root)
        } catch {
            throw IopmemError(.failed, "cannot read the PCI bus", because: error.message)
        }
        let inventory = try Inventory(root: root)
        devices = functions.map { Device($0, inventory: inventory) }
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
    init(_ function: PCIFunction, inventory: Inventory) {
        let address = PCIAddress(
            domain: function.domain, bus: function.bus, device: function.device,
            function: function.function)
        let regions = inventory.regions(of: address)
        self.init(
            address: address, vendorID: function.vendorID, deviceID: function.deviceID,
            name: function.name, driver: function.driver, numaNode: function.numaNode,
            isBridge: function.isBridge, decodesMemory: function.decodesMemory,
            serial: function.serial,
            bars: function.bars.filter { $0.flags != 0 && $0.size != 0 }.map { bar in
                let region = regions.first { $0.bar == bar.index }
                return Bar(
                    index: bar.index, size: bar.size, physicalAddress: bar.start,
                    flags: Self.words(for: bar),
                    problem: region == nil ? Self.problem(of: bar, in: function) : nil,
                    region: region?.dev)
            })
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
    /// What user space cannot see is left to the driver: a bus address that
    /// differs from the CPU's, and addresses beyond the kernel's direct map.
    static func problem(of bar: PCIBar, in function: PCIFunction) -> BarProblem? {
        if function.isBridge { return .bridge }
        if !bar.isMemory { return .ports }
        if bar.size < DriverNumber.align { return .tooSmall(bar.size) }
        if bar.isUnassigned { return .unassigned }
        if function.msixBars?.contains(bar.index) == true { return .interrupts }
        if !bar.isPrefetchable { return .notPrefetchable }
        if !bar.start.isMultiple(of: DriverNumber.align)
            || !bar.size.isMultiple(of: DriverNumber.align)
        {
            return .misaligned
        }
        return function.msixBars == nil ? .unknown : nil
    }
}
