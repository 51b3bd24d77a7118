// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import SystemPackage
import VMLab

/// Which driver to build; for trying another copy of it.
struct DriverOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Build the driver in this folder.", valueName: "folder"))
    var kmod: String?

    @Flag(help: "Boot without the driver.")
    var noDriver = false

    var preparation: Preparation {
        if noDriver { return Preparation(driver: nil) }
        return kmod.map { Preparation(driver: FilePath($0)) } ?? Preparation()
    }
}

/// Which machine to boot.
struct MachineOptions: ParsableArguments {
    @Option(help: "The kernel series; see the kernels command.")
    var kernel = "6.12"

    @Option(help: "The devices and what they are behind.")
    var topology = NamedTopology.switched

    @OptionGroup var driver: DriverOptions

    func kernels() throws -> [Kernel] {
        [try Kernel.named(kernel)]
    }
}

/// Machines that can be asked for by name.
enum NamedTopology: String, ExpressibleByArgument, CaseIterable {
    /// Two cards and a drive on the root complex.
    case flat
    /// A card and a drive behind one switch.
    case switched
    /// The same behind a translating IOMMU.
    case iommu
    /// A card that can be unplugged, and a drive.
    case hotplug
    /// What the bench command measures: a card and an NVDIMM, one processor, and the host's clock.
    case bench

    var topology: Topology {
        switch self {
        case .flat:
            Topology(
                .card("card0", megabytes: 256), .card("card1", megabytes: 64), .nvme("nvme0"))
        case .switched:
            Topology(.switch("sw0", .card("card0", megabytes: 256), .nvme("nvme0")))
        case .iommu:
            Topology(
                .rootPort("rp0", .card("card0", megabytes: 256)), .rootPort("rp1", .nvme("nvme0"))
            )
            .translatingDMA()
        case .bench: BenchPlan.devices.measuring(processors: 1)
        case .hotplug:
            Topology(.rootPort("rp0", .card("card0", megabytes: 256)), .nvme("nvme0"))
        }
    }
}
