// SPDX-License-Identifier: GPL-2.0

import FoundationEssentials
import SystemPackage

/// Which scenarios passed on which kernels.
public struct ScenarioResults: Sendable, Equatable {
    /// By scenario, `CameraTests.capture`: the series of the kernels, oldest first.
    public private(set) var passed: [String: Set<String>] = [:]
    /// Likewise of those that did not.
    public private(set) var failed: [String: Set<String>] = [:]

    /// The file in which the last recorded results are.
    static let recorded = Layout.repository.appending("docs/proven.json")

    /// Nothing ran.
    public init() {}

    /// What the event stream of a test run says (swift-testing, Documentation/ABI/JSON.md): one object
    /// a line.
    ///
    /// A scenario passed on the kernels that its cases were given, if all of its cases passed: which
    /// case an issue belongs to is not said of every issue.
    public init(eventStream text: String) throws {
        var kernels: [String: Set<String>] = [:]
        for line in text.split(separator: "\n") {
            let event = try JSONDecoder().decode(JSONValue.self, from: Data(line.utf8))
            guard event["kind"]?.string == "event", let payload = event["payload"],
                let name = payload["testID"]?.string.flatMap(Self.scenario)
            else { continue }
            switch payload["kind"]?.string {
            case "testCaseStarted":
                // "7.2", or "7.2, below one switch".
                let arguments = payload["_testCase"]?["displayName"]?.string ?? ""
                guard let kernel = arguments.split(separator: ",").first.map(String.init),
                    Kernel.all.contains(where: { $0.series == kernel })
                else { continue }
                kernels[name, default: []].insert(kernel)
            case "testEnded":
                let hasPassed: Bool
                if case .array(let messages)? = payload["messages"] {
                    hasPassed = messages.contains { $0["symbol"]?.string == "pass" }
                } else {
                    hasPassed = false
                }
                let there = kernels[name] ?? []
                if hasPassed {
                    passed[name, default: []].formUnion(there)
                } else {
                    failed[name, default: []].formUnion(there)
                }
            default: break
            }
        }
    }

    /// `ScenarioTests.CameraTests/capture(on:)/CameraTests.swift:21:6` is `CameraTests.capture`.
    private static func scenario(_ id: String) -> String? {
        let parts = id.split(separator: "/")
        guard parts.count == 3, let suite = parts[0].split(separator: ".").last,
            parts[0].hasPrefix("ScenarioTests."),
            let function = parts[1].split(separator: "(").first
        else { return nil }
        return "\(suite).\(function)"
    }

    /// What was recorded.
    public static func load() throws -> ScenarioResults {
        var results = ScenarioResults()
        let bytes = try Files.read(recorded)
        results.passed = try JSONDecoder().decode([String: Set<String>].self, from: Data(bytes))
        return results
    }

    /// Puts newer results in the place of these, scenario by scenario and kernel by kernel.
    public mutating func update(with newer: ScenarioResults) {
        for (name, kernels) in newer.failed { passed[name]?.subtract(kernels) }
        for (name, kernels) in newer.passed { passed[name, default: []].formUnion(kernels) }
        passed = passed.filter { !$0.value.isEmpty }
    }

    /// Records what passed.
    public func save() throws {
        let lines = passed.sorted { $0.key < $1.key }.map { name, kernels in
            let order = Kernel.all.map(\.series).filter(kernels.contains)
            return "  \"\(name)\": [\(order.map { "\"\($0)\"" }.joined(separator: ", "))]"
        }
        try Files.write("{\n\(lines.joined(separator: ",\n"))\n}\n", to: Self.recorded)
    }
}
