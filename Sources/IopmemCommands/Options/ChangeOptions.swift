// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser

/// How far a command may go: on every command that changes something.
public struct ChangeOptions: ParsableArguments {
    @Flag(help: "Answer every confirmation with yes.")
    public var yes = false

    @Flag(
        help: """
            Do it although data or a driver is in the way; never although a namespace is held.
            """)
    public var force = false

    @Flag(help: "Say what would be done, and do nothing.")
    public var dryRun = false

    /// For ArgumentParser.
    public init() {}
}
