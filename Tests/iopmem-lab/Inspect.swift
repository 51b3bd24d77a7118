// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import SystemPackage
import VMLab

/// Runs what looks at the driver's source, and fails if it finds something.
struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at the driver's source with sparse, gcc's analyzer and checkpatch.")

    @Option(help: "Only this kernel series.")
    var kernel: [String] = []

    @Option(help: ArgumentHelp("The driver in this folder.", valueName: "folder"))
    var kmod: String?

    func run() async throws {
        let inspection = kmod.map { DriverInspection(of: FilePath($0)) } ?? DriverInspection()
        var total = 0
        func tell(_ tool: String, _ findings: [String]) {
            print("\(tool): \(findings.isEmpty ? "clean" : "\(findings.count) findings")")
            for finding in findings { print("    \(finding)") }
            total += findings.count
        }
        tell("checkpatch", try await inspection.styleFindings())
        for kernel in kernel.isEmpty ? Kernel.supported : try kernel.map(Kernel.named) {
            tell(
                "sparse and gcc -fanalyzer, Linux \(kernel)",
                try await inspection.findings(for: kernel))
        }
        if total > 0 { throw ExitCode.failure }
    }
}
