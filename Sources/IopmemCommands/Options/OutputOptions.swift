// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser

/// How a command talks: on every command.
public struct OutputOptions: ParsableArguments {
    /// The form of the result on stdout.
    public enum Format: String, ExpressibleByArgument, CaseIterable, Sendable {
        /// For people.
        case table
        /// For programs: one object with `"schema": 1`.
        case json
        /// For Graphviz; of commands that say so.
        case dot

        /// Those of every command, for helps and completions.
        public static var allValueStrings: [String] { [table, json].map(\.rawValue) }
    }

    /// The form of the result.
    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("Form of the result: table or json.", valueName: "format"))
    public var format: Format = .table

    /// Whether steps are told.
    @Flag(name: .shortAndLong, help: "Say on stderr what is done, step by step.")
    public var verbose = false

    /// Whether warnings and notes are kept back.
    @Flag(name: .shortAndLong, help: "Say nothing on stderr but errors.")
    public var quiet = false

    /// For ArgumentParser.
    public init() {}

    /// Refuses contradictions.
    public func validate() throws {
        guard !(verbose && quiet) else {
            throw ValidationError("-v and -q contradict each other.")
        }
    }
}
