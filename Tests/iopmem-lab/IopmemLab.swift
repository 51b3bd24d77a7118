// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import VMLab

/// The virtual machine lab as a program.
@main
struct IopmemLab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iopmem-lab",
        abstract: "Virtual machines with simulated PCIe memory cards.",
        subcommands: [
            Demo.self, Shell.self, Run.self, Tour.self, Prepare.self, Soak.self, Bench.self,
            Kernels.self, Inspect.self, ProofCommand.self,
        ])
}
