// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import VMLab

/// Makes all that machines need, ahead of time.
struct Prepare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch the kernels, make the build roots, build the driver.")

    @Option(help: "Only this kernel series.")
    var kernel: [String] = []

    @OptionGroup var driver: DriverOptions

    func run() async throws {
        let kernels = kernel.isEmpty ? Kernel.supported : try kernel.map(Kernel.named)
        for kernel in kernels {
            let bootable = try await driver.preparation.bootable(kernel)
            print("Linux \(kernel.series): \(bootable.packages.release) is ready")
        }
    }
}

/// Prints the table of kernels.
struct Kernels: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the supported kernels and the exact versions in use.")

    func run() async throws {
        for packages in try await Preparation.versions() {
            print("\(packages.series)\t\(packages.release)\t\(packages.version)")
        }
    }
}
