// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// What a command works with: the machine, and somebody to talk to.
public struct Context {
    /// The machine, or a simulated one.
    public let host: any Host
    /// Where words go.
    public let console: Console

    /// That machine and that console.
    public init(host: any Host, console: Console) {
        self.host = host
        self.console = console
    }
}

/// A command of iopmemctl.
///
/// Its work is in `run(in:)`, which `Iopmemctl.run` gives the machine and the
/// console; `run()` brings this process's own.
public protocol IopmemCommand: ParsableCommand {
    /// How it talks.
    var output: OutputOptions { get }
    /// The forms in which it can show its result.
    static var formats: [OutputOptions.Format] { get }
    /// What to do instead of asking for another form.
    static var formatRemedy: String { get }

    /// Does the work.
    func run(in context: Context) throws(IopmemError)
}

extension IopmemCommand {
    /// The two that every command has.
    public static var formats: [OutputOptions.Format] { [.table, .json] }

    /// The forms that there are.
    public static var formatRemedy: String {
        "use one of: \(formats.map(\.rawValue).joined(separator: ", "))"
    }

    /// Does the work on this machine.
    public func run() throws {
        try run(in: Context(host: LinuxHost(), console: .standard(output)))
    }
}
