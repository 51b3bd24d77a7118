// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What could keep one PCI function from being used.
struct DeviceCheckup {
    let root: SystemRoot

    /// Every BAR of a function that the user named; only the good ones of a
    /// function that was found.
    func examine(_ device: Device, isNamed: Bool) -> [Check] {
        var checks: [Check] = []
        if device.isBridge {
            checks.append(
                Check(
                    "bar", .problem, "\(device.address)", "it is a bridge",
                    remedy: "name a device with memory: iopmemctl devices"))
        } else {
            let isUsable = device.bars.contains { isGood($0) }
            checks += device.bars.filter { isNamed || isGood($0) }
                .map { bar($0, of: device, isUsable: isUsable) }
            if device.bars.isEmpty, isNamed {
                checks.append(
                    Check("bar", .problem, "\(device.address)", "it has no memory BAR"))
            }
        }
        if device.isBound { checks.append(decoding(device)) }
        checks.append(iommu(device))
        return checks
    }

    private func isGood(_ bar: Device.Bar) -> Bool {
        bar.problem == nil || bar.problem == .unknown
    }

    /// A BAR that cannot be a region matters only where no other can.
    private func bar(_ bar: Device.Bar, of device: Device, isUsable: Bool) -> Check {
        let subject = "\(device.address) BAR \(bar.index)"
        let size = ByteSize.display(bar.size)
        if let region = bar.region {
            return Check("bar", .ok, subject, "\(size), is region \(region)")
        }
        switch bar.problem {
        case nil:
            return Check("bar", .ok, subject, "\(size), can be a region")
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
            return Check(
                "bar", .problem, subject, "\(size), \(BarProblem.unassigned.reason)",
                remedy: "turn on \"Above 4G decoding\" in the firmware, or boot with pci=realloc")
        case .some(let problem):
            return Check(
                "bar", isUsable ? .ok : .problem, subject, "\(size), \(problem.reason)",
                remedy: isUsable ? nil : "choose another device: iopmemctl devices")
        }
    }

    private func decoding(_ device: Device) -> Check {
        let subject = "\(device.address)"
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
