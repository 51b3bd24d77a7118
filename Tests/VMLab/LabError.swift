// SPDX-License-Identifier: GPL-2.0

/// Something that the lab could not do: what, on what, and what is known about why.
public struct LabError: Error, Sendable, CustomStringConvertible {
    /// One sentence: what failed, on which object.
    public let message: String
    /// Evidence, printed indented below the message: a tool's output, a console's tail.
    public let evidence: String
    /// What to do next, if that is known.
    public let remedy: String?

    /// An error of the lab itself.
    public init(_ message: String, evidence: String = "", remedy: String? = nil) {
        self.message = message
        self.evidence = evidence
        self.remedy = remedy
    }

    /// The message, the evidence below it, and the remedy.
    public var description: String {
        var lines = [message]
        lines += evidence.split(separator: "\n").map { "    \($0)" }
        if let remedy { lines.append("→ \(remedy)") }
        return lines.joined(separator: "\n")
    }
}
