// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
import Glibc
import Iopmem

/// `iopmemctl`: the root of the commands, and how a run ends.
public struct Iopmemctl: ParsableCommand {
    /// Its name, help and subcommands.
    public static let configuration = CommandConfiguration(
        commandName: "iopmemctl",
        abstract: "PCIe memory BARs as DAX block devices.",
        version: version,
        subcommands: [
            Devices.self, Bind.self, Unbind.self, Create.self, List.self, Destroy.self, Verify.self,
            DoctorCommand.self,
        ])

    /// The version of the tool, the same as the driver's.
    public static let version = "0.1.0"

    /// For ArgumentParser.
    public init() {}

    /// Runs a command line, without the program's name, and returns the exit
    /// status; what went wrong has been said on stderr.
    public static func run(_ arguments: [String]) -> Int32 {
        do {
            var command = try parseAsRoot(arguments)
            try command.run()
            return 0
        } catch let error as IopmemError {
            console(for: arguments).report(error)
            return error.exitStatus
        } catch {
            return end(with: error, arguments)
        }
    }

    /// How ArgumentParser's own errors end: help and version on stdout with 0,
    /// everything else is wrong usage.
    private static func end(with error: any Error, _ arguments: [String]) -> Int32 {
        let console = console(for: arguments)
        guard exitCode(for: error) != .success else {
            print(fullMessage(for: error))
            return 0
        }
        let usage = IopmemError(
            .usage, message(for: error), remedy: "see the command's --help")
        if console.format == .json {
            console.report(usage)
        } else {
            Console.writeToStandardError(fullMessage(for: error) + "\n")
        }
        return usage.exitStatus
    }

    /// The console of a command line that may not have parsed: only the form of
    /// errors matters then.
    private static func console(for arguments: [String]) -> Console {
        .standard(format: wantsJSON(arguments) ? .json : .table)
    }

    static func wantsJSON(_ arguments: [String]) -> Bool {
        let options = arguments.prefix { $0 != "--" }
        return zip(options, options.dropFirst()).contains { name, value in
            (name == "-o" || name == "--output") && value == "json"
        } || options.contains("--output=json") || options.contains("-ojson")
    }
}
