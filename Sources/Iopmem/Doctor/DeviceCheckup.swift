// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What could keep one PCI function from being used.
struct DeviceCheckup {
    let root: SystemRoot
    let tree: PCITree

    /// Whether there is something to say of a function of which nobody spoke: it has memory that
    /// could be a region, or that would be one at another address.
    func concerns(_ device: Device) -> Bool {
        device.bars.contains { $0.mayBeRegion || isMisplaced($0) }
    }

    /// Whether a BAR of a function can be a region, as far as can be seen.
    func isUsable(_ device: Device) -> Bool {
        device.bars.contains(where: \.mayBeRegion)
    }

    /// Every BAR of a function that is meant; of others only the good ones, and those that lack
    /// nothing but an address that can be used: most devices have small BARs, and are none of ours.
    ///
    /// - Parameter isMeant: Whether the user or a configuration file names it, or it is bound.
    func examine(_ device: Device, isMeant: Bool) -> [Check] {
        var checks: [Check] = []
        if device.isBridge {
            checks.append(
                Check(
                    "bar", .problem, "\(device.address)", "it is a bridge",
                    remedy: "name a device with memory: iopmemctl devices"))
        } else {
            checks += device.bars.filter { isMeant || $0.mayBeRegion || isMisplaced($0) }
                .map { bar($0, of: device, isMeant: isMeant) }
            if device.bars.isEmpty, isMeant {
                checks.append(
                    Check(
                        "bar", .problem, "\(device.address)", "it has no memory BAR",
                        remedy: "choose another device: iopmemctl devices"))
            }
        }
        // How another driver has set up its device is that driver's business.
        if isMeant || device.driver == nil {
            checks += [link(device)].compactMap { $0 }
            checks += device.bars.compactMap { larger($0, of: device) }
        }
        if device.isBound { checks.append(decoding(device)) }
        checks.append(iommu(device))
        return checks
    }

    private func isMisplaced(_ bar: Device.Bar) -> Bool {
        switch bar.problem {
        case .unassigned, .outOfReach: true
        default: false
        }
    }

    /// A BAR that cannot be a region matters only where no other can.
    private func bar(_ bar: Device.Bar, of device: Device, isMeant: Bool) -> Check {
        let isUsable = isUsable(device)
        // Another driver may do without it.
        let misplaced: Check.Status = isMeant || device.driver == nil ? .problem : .warning
        let subject = "\(device.address) BAR \(bar.index)"
        let size = bar.size == 0 ? "of unknown size" : ByteSize.display(bar.size)
        if let region = bar.region {
            return Check("bar", .ok, subject, "\(size), is region \(region)")
        }
        switch bar.problem {
        case nil:
            return Check(
                "bar", .ok, subject, "\(size), can be a region", remedy: lowering(bar))
        case .unknown:
            return Check(
                "bar", .unknown, subject, "\(size), \(BarProblem.unknown.reason)",
                remedy: "run it as root")
        case .notPrefetchable:
            return Check(
                "bar", isUsable ? .ok : .warning, subject,
                "\(size), \(BarProblem.notPrefetchable.reason)",
                remedy: isUsable
                    ? nil : "if the device's reads have none: iopmemctl bind --force")
        case .unassigned:
            let less = bar.resizableSizes.last {
                DriverNumber.align <= $0 && $0 < (bar.size == 0 ? .max : bar.size)
            }
            return Check(
                "bar", misplaced, subject, "\(size), \(BarProblem.unassigned.reason)",
                remedy: "turn on \"Above 4G decoding\" in the firmware, or boot with pci=realloc"
                    + (less.map { "; or ask for less: \(resizing(bar, of: device, to: $0))" } ?? "")
            )
        case .outOfReach(let end):
            let isCut =
                commandLine.contains("no5lvl")
                && bar.physicalAddress < DirectMap(root: root).processorEnd ?? 0
            return Check(
                "bar", misplaced, subject, "\(size), \(BarProblem.outOfReach(end).reason)",
                remedy: isCut
                    ? "remove no5lvl from the kernel command line"
                    : "have the firmware place it below \(ByteSize.display(end)): lower its base"
                        + " of memory-mapped I/O above 4 GiB (\"MMIO High Base\")")
        case .some(let problem):
            let more = bar.resizableSizes.last.flatMap {
                problem.mayGoWithAnotherSize && $0 >= DriverNumber.align ? $0 : nil
            }
            return Check(
                "bar", isUsable ? .ok : .problem, subject, "\(size), \(problem.reason)",
                remedy: isUsable
                    ? nil
                    : more.map { "give it more: \(resizing(bar, of: device, to: $0))" }
                        ?? "choose another device: iopmemctl devices")
        }
    }

    /// Nothing is wrong with a BAR that shows less of the memory than it could; but nobody else
    /// says so.
    private func larger(_ bar: Device.Bar, of device: Device) -> Check? {
        guard let most = bar.resizableSizes.last, bar.size > 0, most > bar.size else { return nil }
        return Check(
            "resizable_bar", .ok, "\(device.address) BAR \(bar.index)",
            "\(ByteSize.display(bar.size)), and it can be given up to \(ByteSize.display(most))",
            remedy: "for more of the memory: \(resizing(bar, of: device, to: most))")
    }

    /// The kernel resizes BARs while there is no driver.
    private func resizing(_ bar: Device.Bar, of device: Device, to size: UInt64) -> String {
        let force = device.driver == nil || device.isBound ? "" : " --force"
        return (device.isBound ? "iopmemctl unbind \(device.address); " : "")
            + "iopmemctl bind \(device.address) --bar \(bar.index)"
            + " --resize-bar \(ByteSize.exact(size))\(force)"
    }

    /// A link has what both of its ends can do, unless it was set up badly or saves power.
    private func link(_ device: Device) -> Check? {
        guard let link = device.link else { return nil }
        let subject = "link of \(device.address)"
        guard link.isReduced else { return Check("link", .ok, subject, "\(link)") }
        let above = root.realPath(device.sysfsPath).map { $0.split(separator: "/").dropLast() }
        let slot = above.flatMap { PCILink(of: "/" + $0.joined(separator: "/"), root: root) }
        let isSlot =
            slot.map { slot in
                link.speed == min(link.maxSpeed ?? link.speed, slot.maxSpeed ?? .max)
                    && link.width == min(link.maxWidth ?? link.width, slot.maxWidth ?? .max)
            } ?? false
        return Check(
            "link", .warning, subject,
            "\(link): \(isSlot ? "its slot has no more" : "it is reduced")",
            remedy: isSlot
                ? "put the device into a faster slot"
                : "seat the device anew, and look for the slot's speed, width and bifurcation in"
                    + " the firmware's settings; then see dmesg | grep \(device.address)")
    }

    private var commandLine: [Substring] {
        (root.optionalText("/proc/cmdline") ?? "").split(separator: " ")
    }

    /// What to do should the driver refuse its address. Kernels that randomise where the direct map
    /// lies (KASLR) left it no more than 10 TiB above the RAM, until they left it whole for
    /// ZONE_DEVICE (arch/x86/mm/kaslr.c, kernel_randomize_memory()); which ones do, nobody sees.
    private func lowering(_ bar: Device.Bar) -> String? {
        let unit: UInt64 = 1 << 40
        guard let memory = StructPages.totalMemory(root: root), !commandLine.contains("nokaslr")
        else { return nil }
        let end = ((memory + unit - 1) / unit + 10) * unit
        guard bar.physicalAddress + (bar.size - 1) >= end else { return nil }
        return "if bind is refused for its address: \(DirectMap.widening)"
    }

    private func decoding(_ device: Device) -> Check {
        let subject = "\(device.address)"
        // The topmost: who is reset takes everybody below along.
        if let bridge = tree.chain(from: device.address).dropFirst().map(\.device)
            .last(where: { !$0.decodesMemory })
        {
            return Check(
                "memory_decoding", .problem, subject,
                "the bridge \(bridge.address) above it forwards no memory accesses (command"
                    + " register, bit 1): it was reset, and nobody set it up again",
                remedy: "let the kernel find it anew, with all that is below it:"
                    + " echo 1 >/sys/bus/pci/devices/\(bridge.address)/remove;"
                    + " echo 1 >/sys/bus/pci/rescan")
        }
        return device.decodesMemory
            ? Check("memory_decoding", .ok, subject, "it answers memory accesses")
            : Check(
                "memory_decoding", .problem, subject,
                "it does not answer memory accesses (command register, bit 1)",
                remedy: "unbind and bind it anew: iopmemctl unbind \(subject)")
    }

    private func iommu(_ device: Device) -> Check {
        let subject = "\(device.address)"
        let type = root.optionalText("\(device.sysfsPath)/iommu_group/type")
        switch type {
        case nil:
            return Check("iommu", .ok, subject, "no IOMMU stands before it")
        case "identity":
            return Check("iommu", .ok, subject, "the IOMMU passes addresses on as they are")
        case .some(let type):
            return Check(
                "iommu", .warning, subject,
                "the IOMMU translates (\(type)): transfers between devices go up to the root"
                    + " complex, also below one switch",
                remedy: "boot with iommu=pt where the devices can be trusted")
        }
    }
}
