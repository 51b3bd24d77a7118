// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser

/// How far a command may go: on every command that changes something.
public struct ChangeOptions: ParsableArguments {
    /// Whether nothing is asked.
    @Flag(help: "Answer every confirmation with yes.")
    public var yes = false

    /// Whether data or a driver in the way is no obstacle.
    @Flag(
        help: """
            Do it although data or a driver is in the way; never although a namespace is held.
            """)
    public var force = false

    /// Whether nothing is done.
    @Flag(help: "Say what would be done, and do nothing.")
    public var dryRun = false

    /// For ArgumentParser.
    public init() {}
}
