// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// Resizable BARs: the kernel can give some BARs another size while the function
/// has no driver (Documentation/ABI/testing/sysfs-bus-pci, resourceN_resize).
extension Operation {
    /// The BAR that a request means to resize; nil if it does not mean to, or if
    /// it has that size. Fails where that cannot be.
    func barToResize(
        _ request: BindRequest, of device: Device
    ) throws(IopmemError) -> Device.Bar? {
        guard let size = request.resize else { return nil }
        let failure = "cannot resize a BAR of \(device.address)"
        let candidates = device.bars.filter { bar in
            (request.bar ?? bar.index) == bar.index && !bar.resizableSizes.isEmpty
        }
        guard let bar = candidates.first else {
            throw IopmemError(
                .unsupported, failure,
                because: request.bar.map { "BAR \($0) is not resizable" }
                    ?? "none is resizable, or this kernel does not say",
                remedy: "show its BARs: iopmemctl devices \(device.address)")
        }
        guard candidates.count == 1 else {
            let bars = candidates.map { "--bar \($0.index)" }.joined(separator: " or ")
            throw IopmemError(
                .invalid, failure, because: "several are resizable", remedy: "say which: \(bars)")
        }
        guard bar.resizableSizes.contains(size) else {
            let sizes = bar.resizableSizes.map(ByteSize.exact).joined(separator: ", ")
            throw IopmemError(
                .unsupported, failure,
                because: "BAR \(bar.index) cannot have \(ByteSize.exact(size))",
                remedy: "choose one of \(sizes)")
        }
        return bar.size == size ? nil : bar
    }

    /// Of a function that is bound, which nobody can resize.
    func requireSize(_ request: BindRequest, of device: Device) throws(IopmemError) {
        guard let bar = try barToResize(request, of: device) else { return }
        throw IopmemError(
            .failed,
            "\(device.address) is bound to iopmem already, and BAR \(bar.index) has"
                + " \(ByteSize.exact(bar.size))",
            remedy: "bind it anew: iopmemctl unbind \(device.address); iopmemctl bind"
                + " \(device.address) --resize-bar \(ByteSize.exact(request.resize ?? 0))")
    }

    /// Gives the BAR its size, and the old one back if what follows fails.
    func resize(
        _ device: Device, _ request: BindRequest, _ rollback: inout Rollback
    ) throws(IopmemError) {
        try checkpoint()
        guard let bar = try barToResize(request, of: device), let size = request.resize else {
            return
        }
        let restore = self
        let name = "BAR \(bar.index) of \(device.address)"
        rollback.add("give \(name) its old size") { () throws(IopmemError) in
            guard try restore.size(of: bar, device) != bar.size else { return }
            try restore.write(bar.size, as: bar, of: device)
        }
        listener.step("give \(name) \(ByteSize.exact(size))")
        try write(size, as: bar, of: device)
        let now = try self.size(of: bar, device)
        guard now == size else {
            throw IopmemError(
                .failed, "the kernel did not resize \(name)",
                because: "it has \(ByteSize.exact(now))",
                remedy: "see what the kernel said: dmesg | tail; the bridges above may lack the"
                    + " address space")
        }
    }

    private func write(
        _ size: UInt64, as bar: Device.Bar, of device: Device
    ) throws(IopmemError) {
        // The number of the bit that stands for the size: 0 for 1 MiB.
        try write(
            "\((size >> 20).trailingZeroBitCount)",
            to: "\(device.sysfsPath)/resource\(bar.index)_resize",
            purpose: "give BAR \(bar.index) of \(device.address) \(ByteSize.exact(size))")
    }

    private func size(of bar: Device.Bar, _ device: Device) throws(IopmemError) -> UInt64 {
        let now = try DeviceList(root: host.root).device(at: device.address)
        return now.bars.first { $0.index == bar.index }?.size ?? 0
    }
}
