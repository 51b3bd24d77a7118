// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser

/// How far a command may go: on commands that change something, ask about it, and may find data
/// in the way.
///
/// On those that do not ask, or have nothing that could be in the way, the options that would do
/// nothing are taken and not shown, so that a script can give the same ones to every command.
public struct ChangeOptions: ParsableArguments {
    @OptionGroup private var yesOption: YesOption
    @OptionGroup private var forceOption: ForceOption
    @OptionGroup private var planOption: PlanOption

    /// Whether nothing is asked.
    public var yes: Bool { yesOption.yes }
    /// Whether data or a driver in the way is no obstacle.
    public var force: Bool { forceOption.force }
    /// Whether nothing is done.
    public var dryRun: Bool { planOption.dryRun }

    /// For ArgumentParser.
    public init() {}
}

/// `--yes`
public struct YesOption: ParsableArguments {
    /// Whether nothing is asked.
    @Flag(help: "Answer every confirmation with yes.")
    public var yes = false

    /// For ArgumentParser.
    public init() {}
}

/// `--force`
public struct ForceOption: ParsableArguments {
    /// Whether data or a driver in the way is no obstacle.
    @Flag(
        help: """
            Do it although data or a driver is in the way; never although a namespace is held.
            """)
    public var force = false

    /// For ArgumentParser.
    public init() {}
}

/// `--dry-run`
public struct PlanOption: ParsableArguments {
    /// Whether nothing is done.
    @Flag(help: "Say what would be done, and do nothing.")
    public var dryRun = false

    /// For ArgumentParser.
    public init() {}
}
