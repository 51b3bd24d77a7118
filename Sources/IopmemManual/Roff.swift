// SPDX-License-Identifier: GPL-2.0

/// The text of a manual page in man(7)'s macros.
struct Roff {
    private(set) var text = ""

    /// What readers do not see.
    mutating func comment(_ words: String) {
        text += ".\\\" \(words)\n"
    }

    /// A macro with its arguments, each as one.
    mutating func macro(_ name: String, _ arguments: String...) {
        let quoted = arguments.map { "\"\(Self.escaped($0).replacing("\"", with: "\"\""))\"" }
        text += ".\(name)\(quoted.map { " " + $0 }.joined())\n"
    }

    /// A line of text, in which bold and italic pieces are already marked.
    mutating func line(_ marked: String) {
        text += (marked.hasPrefix(".") || marked.hasPrefix("'") ? "\\&" : "") + marked + "\n"
    }

    /// Paragraphs with an empty line between them; lines that are indented stay as they are.
    mutating func paragraphs(_ body: String) {
        var isFirst = true
        for paragraph in body.split(separator: "\n\n") {
            let lines = paragraph.split(separator: "\n", omittingEmptySubsequences: false)
            if !isFirst { macro("PP") }
            isFirst = false
            if lines.allSatisfy({ $0.hasPrefix("  ") || $0.isEmpty }) {
                literal(lines)
            } else {
                for line in lines { self.line(Self.escaped(line)) }
            }
        }
    }

    /// Lines as they are.
    mutating func literal(_ lines: some Sequence<Substring>) {
        text += ".nf\n"
        for line in lines { self.line(Self.escaped(line)) }
        text += ".fi\n"
    }

    /// Text in which nothing is roff's own; a hyphen becomes the minus sign that people type.
    static func escaped(_ text: some StringProtocol) -> String {
        String(text).replacing("\\", with: "\\e").replacing("-", with: "\\-")
    }

    static func bold(_ text: String) -> String { "\\fB\(escaped(text))\\fR" }
    static func italic(_ text: String) -> String { "\\fI\(escaped(text))\\fR" }
}
