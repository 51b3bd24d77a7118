// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import SystemPackage
import VMLab

/// Holds the README's table against what scenarios showed.
struct ProofCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proof",
        abstract: "Compare the README's table with the results of scenarios, or make it from them.")

    @Argument(help: "Event streams of test runs (swift test --event-stream-output-path).")
    var streams: [String] = []

    @Flag(help: "Record the results, and write the table.")
    var record = false

    @Flag(help: "Print the names of the scenarios, as a regular expression.")
    var names = false

    func run() throws {
        guard !names else {
            let names = ProofTable.scenarios.sorted().map { $0.replacing(".", with: "/") }
            return print(names.joined(separator: "|"))
        }
        var ran = ScenarioResults()
        for stream in streams {
            ran.update(with: try ScenarioResults(eventStream: try FilePath(stream).text()))
        }
        if record {
            var known = (try? ScenarioResults.load()) ?? ScenarioResults()
            known.update(with: ran)
            try known.save()
            let readme = Layout.repository.appending("README.md")
            guard let text = ProofTable.replacing(in: try readme.text(), by: known) else {
                throw ValidationError("README.md has no place for the table")
            }
            try readme.write(text)
            report(ProofTable.missing(in: known, on: ProofTable.kernels), "not shown yet")
        } else {
            // Kernels on which nothing ran were not asked for.
            let kernels = ProofTable.kernels.filter { kernel in
                ran.passed.values.contains { $0.contains(kernel.series) }
            }
            let missing = ProofTable.missing(in: ran, on: kernels)
            report(missing, "the README says otherwise")
            if !missing.isEmpty { throw ExitCode.failure }
        }
    }

    private func report(_ missing: [String], _ what: String) {
        for line in missing { print("\(what): \(line)") }
    }
}
