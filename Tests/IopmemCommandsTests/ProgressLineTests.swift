// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemCommands

/// The line that says how far a run is.
@Suite("Progress")
struct ProgressLineTests {
    private final class Terminal {
        var text = ""
    }

    private func shown(isQuiet: Bool, isTerminal: Bool) -> String {
        let terminal = Terminal()
        let line = ProgressLine(isQuiet: isQuiet, isTerminal: isTerminal) { terminal.text += $0 }
        line.show("write and verify", done: 1 << 20, fraction: 0.25, wrong: 2)
        // Too soon after the first.
        line.show("write and verify", done: 2 << 20, fraction: 0.5, wrong: 2)
        line.clear()
        // There is nothing any more.
        line.clear()
        return terminal.text
    }

    @Test("a terminal sees one line, which is taken away again")
    func terminal() {
        let text = shown(isQuiet: false, isTerminal: true)
        #expect(text.hasPrefix("\r\u{1b}[Kwrite and verify 25%  1 MiB, "))
        #expect(text.contains("/s, 2 wrong, "))
        #expect(text.contains(" left"))
        #expect(!text.contains("50%"))
        #expect(text.hasSuffix("\r\u{1b}[K"))
        #expect(text.components(of: "\r").count == 2 + 1)
        #expect(!text.contains("\n"))
    }

    @Test("a pipe sees nothing, and neither does who wants quiet")
    func silence() {
        #expect(shown(isQuiet: false, isTerminal: false).isEmpty)
        #expect(shown(isQuiet: true, isTerminal: true).isEmpty)
        #expect(shown(isQuiet: true, isTerminal: false).isEmpty)
    }

    @Test("the rate is that of the last two seconds, not of the whole run")
    func rate() {
        var rate = RecentRate()
        #expect(rate.update(done: 0, at: .zero) == 0)
        #expect(rate.update(done: 100, at: .seconds(1)) == 100)
        #expect(rate.update(done: 200, at: .seconds(2)) == 100)
        for second in 3...10 {
            _ = rate.update(done: 200 + UInt64(second - 2) * 1000, at: .seconds(second))
        }
        #expect(rate.update(done: 9200, at: .seconds(11)) == 1000)
        // It stands still: three seconds later nothing is left of it.
        for second in 12...14 { _ = rate.update(done: 9200, at: .seconds(second)) }
        #expect(rate.update(done: 9200, at: .seconds(15)) == 0)
        // The count begins anew with the next job, and no rate is below zero.
        #expect(rate.update(done: 5, at: .seconds(16)) == 0)
    }
}
