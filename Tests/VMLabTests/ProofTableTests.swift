// SPDX-License-Identifier: GPL-2.0

import SystemPackage
import Testing

@testable import VMLab

/// The README's table, and the results that it is made from.
@Suite("Proof table")
struct ProofTableTests {
    @Test("the README has the table that the recorded results make, and nothing in it is not shown")
    func current() throws {
        let readme = try Files.text(Layout.repository.appending("README.md"))
        let results = try ScenarioResults.load()
        #expect(ProofTable.replacing(in: readme, by: results) == readme, "make table")
        #expect(ProofTable.missing(in: results, on: ProofTable.kernels) == [])
    }

    @Test("every scenario that the table names is in the file that it links to")
    func links() throws {
        #expect(!ProofTable.scenarios.isEmpty)
        for name in ProofTable.scenarios {
            let parts = name.split(separator: ".")
            let file = Layout.repository.appending("Tests/ScenarioTests/\(parts[0]).swift")
            let text = try Files.text(file)
            #expect(text.contains("struct \(parts[0]) {") && text.contains("func \(parts[1])(on "))
        }
    }

    @Test("a result that is missing is no proof")
    func missing() {
        let none = ScenarioResults()
        let missing = ProofTable.missing(in: none, on: ProofTable.kernels)
        #expect(missing.count > 30)
        let text = "a\n<!-- made by make table -->\nold\n<!-- end of what make table makes -->\nb"
        let made = ProofTable.replacing(in: text, by: none)
        #expect(made?.contains("not shown") == true && made?.contains("old") == false)
        #expect(made?.hasPrefix("a\n") == true && made?.hasSuffix("\nb") == true)
        #expect(ProofTable.replacing(in: "nothing", by: none) == nil)
    }

    @Test("a scenario passed where all of its cases did")
    func stream() throws {
        func event(_ kind: String, _ test: String, _ rest: String) -> String {
            #"{"kind":"event","payload":{"kind":"\#(kind)","#
                + #""testID":"ScenarioTests.\#(test)(on:)\/F.swift:1:1",\#(rest)},"version":0}"#
        }
        func started(_ test: String, _ arguments: String) -> String {
            event("testCaseStarted", test, #""_testCase":{"displayName":"\#(arguments)"}"#)
        }
        func ended(_ test: String, _ symbol: String) -> String {
            event("testEnded", test, #""messages":[{"symbol":"\#(symbol)","text":""}]"#)
        }
        let results = try ScenarioResults(
            eventStream: [
                started("A/a", "6.1"), started("A/a", "7.2, below one switch"),
                ended("A/a", "pass"),
                started("A/b", "6.1"), started("A/b", "7.2"), ended("A/b", "fail"),
                started("A/c", "6.1"), ended("A/d", "pass"),
            ].joined(separator: "\n"))
        #expect(results.passed == ["A.a": ["6.1", "7.2"], "A.d": []])
        #expect(results.failed == ["A.b": ["6.1", "7.2"]])
        var known = results
        var newer = ScenarioResults()
        newer = try ScenarioResults(
            eventStream: [started("A/a", "7.2"), ended("A/a", "fail")].joined(separator: "\n"))
        known.update(with: newer)
        #expect(known.passed == ["A.a": ["6.1"]])
        #expect(throws: (any Error).self) { try ScenarioResults(eventStream: "no JSON") }
    }
}
