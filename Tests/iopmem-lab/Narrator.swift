// SPDX-License-Identifier: GPL-2.0

import Glibc

/// Tells a story on the terminal: numbered steps, the commands and what they said.
struct Narrator {
    private let isTerminal = isatty(1) == 1
    private var step = 0
    private let steps: Int

    /// A story of this many steps.
    init(steps: Int) {
        self.steps = steps
    }

    /// At once, so that who reads from a pipe sees each step when it happens.
    private func put(_ line: String = "") {
        var rest = Array("\(line)\n".utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    private func styled(_ text: String, _ code: String) -> String {
        isTerminal ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }

    /// Lines as they are.
    func say(_ text: String = "") {
        put(text)
    }

    /// The heading of the next step, with a sentence on what it is for.
    mutating func begin(_ title: String, _ purpose: String) {
        step += 1
        put()
        put(styled("[\(step)/\(steps)] \(title)", "1"))
        for line in purpose.split(separator: "\n") { put("      \(line)") }
    }

    /// A command, as a user would type it.
    func command(_ text: String) {
        put("      " + styled("# \(text)", "36"))
    }

    /// What a command said.
    func output(_ text: String) {
        for line in text.split(separator: "\n", omittingEmptySubsequences: false)
        where !line.isEmpty {
            put("      │ \(line)")
        }
    }

    /// A finding that was asked for, and whether it is there.
    func finding(_ text: String, _ holds: Bool) {
        put("      " + (holds ? styled("✔", "32") : styled("✘", "31")) + " \(text)")
    }
}
