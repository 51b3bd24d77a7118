// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl`: the root of the commands, and how a run ends.
public struct Iopmemctl: ParsableCommand {
    /// Its name, help and subcommands.
    public static let configuration = CommandConfiguration(
        commandName: "iopmemctl",
        abstract: "PCIe memory BARs as DAX block devices.",
        version: version,
        subcommands: [
            Devices.self, Bind.self, Unbind.self, Create.self, List.self, Destroy.self, Verify.self,
            DoctorCommand.self, TopologyCommand.self, MonitorCommand.self, Wait.self,
            ShareCommand.self,
            Unshare.self, Labels.self,
            Restore.self,
            Config.self, Metrics.self, InjectError.self,
        ])

    /// The version of the tool, the same as the driver's.
    public static let version = "0.1.0"

    /// For ArgumentParser.
    public init() {}

    /// Runs a command line, without the program's name, on this machine and
    /// returns the exit status; what went wrong has been said on stderr.
    public static func run(_ arguments: [String], on host: LinuxHost) -> Int32 {
        run(arguments, on: host, console: Console.standard(format:))
    }

    /// The same on another machine, with another console for the form of output
    /// that the command line asks for.
    public static func run(
        _ arguments: [String], on host: any Host,
        console makeConsole: (OutputOptions.Format) -> Console
    ) -> Int32 {
        // Of a line that does not parse only the form of errors matters.
        var console = makeConsole(wantsJSON(arguments) ? .json : .table)
        do {
            if let script = completionScript(askedBy: arguments) {
                try console.print(script)
                return 0
            }
            var command = try parseAsRoot(arguments)
            guard let ours = command as? any IopmemCommand else {
                try command.run()
                return 0
            }
            let format = ours.output.format
            guard type(of: ours).formats.contains(format) else {
                throw IopmemError(
                    .usage, "there is no -o \(format) of this command",
                    remedy: type(of: ours).formatRemedy)
            }
            console = makeConsole(format)
            console.isVerbose = ours.output.verbose
            console.isQuiet = ours.output.quiet
            try ours.run(in: Context(host: host, console: console))
            return 0
        } catch let error as IopmemError {
            console.report(error)
            return error.exitStatus
        } catch {
            return end(with: error, console)
        }
    }

    /// How ArgumentParser's own errors end: help and version on stdout with 0,
    /// everything else is wrong usage.
    private static func end(with error: any Error, _ console: Console) -> Int32 {
        guard exitCode(for: error) != .success else {
            do throws(IopmemError) {
                try console.print(fullMessage(for: error))
                return 0
            } catch {
                console.report(error)
                return error.exitStatus
            }
        }
        let usage = IopmemError(
            .usage, message(for: error), remedy: "see the command's --help")
        if console.format == .json {
            console.report(usage)
        } else {
            console.complain(fullMessage(for: error))
        }
        return usage.exitStatus
    }

    static func wantsJSON(_ arguments: [String]) -> Bool {
        let options = arguments.prefix { $0 != "--" }
        return zip(options, options.dropFirst()).contains { name, value in
            (name == "-o" || name == "--output") && value == "json"
        } || options.contains("--output=json") || options.contains("-ojson")
    }
}
