// SPDX-License-Identifier: GPL-2.0

import Subprocess
import SystemPackage

/// Runs a program on the host and waits for it.
enum HostCommand {
    /// Both streams, in the order in which they came, whatever the exit status.
    struct Outcome {
        let succeeded: Bool
        let output: String
    }

    static func attempt(
        _ tool: String, _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> Outcome {
        var changes: [Environment.Key: String?] = ["LC_ALL": "C.UTF-8"]
        for (name, value) in environment {
            if let key = Environment.Key(rawValue: name) { changes[key] = value }
        }
        let result = try await Subprocess.run(
            tool.contains("/") ? .path(FilePath(tool)) : .name(tool),
            arguments: Arguments(arguments),
            environment: .inherit.updating(changes),
            input: .none, output: .string(limit: 64 << 20), error: .combinedWithOutput)
        return Outcome(
            succeeded: result.terminationStatus.isSuccess, output: result.standardOutput)
    }

    /// The output of a program that must succeed; its last lines are the evidence when it does not.
    @discardableResult
    static func run(
        _ tool: String, _ arguments: [String], environment: [String: String] = [:],
        purpose: String
    ) async throws -> String {
        let outcome = try await attempt(tool, arguments, environment: environment)
        if outcome.succeeded { return outcome.output }
        throw LabError(
            "could not \(purpose): \(tool) failed", evidence: outcome.output.lastLines(25))
    }
}

extension String {
    /// The end of a long text.
    func lastLines(_ count: Int) -> String {
        split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).suffix(count)
            .joined(separator: "\n")
    }
}
