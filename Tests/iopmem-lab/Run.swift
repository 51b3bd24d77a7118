// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import Glibc
import VMLab

/// Boots a machine, runs one command in it, and passes its outputs and exit status on.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Boot a machine, run a command in it, power it off.",
        discussion: """
            The command is a bash script, run as root with iopmemctl on the PATH. The driver can be \
            loaded with modprobe iopmem. Messages of the kernel that tell of trouble make this fail.
            """)

    @OptionGroup var machine: MachineOptions

    @Option(help: "Seconds until the command is killed.")
    var within = 300

    @Option(help: "More for the kernel's command line.")
    var kernelArgument: [String] = []

    @Flag(help: "Print the kernel's messages to stderr in the end.")
    var dmesg = false

    @Argument(parsing: .postTerminator, help: "The command.")
    var command: [String]

    func run() async throws {
        var topology = machine.topology.topology
        topology.kernelArguments += kernelArgument
        let status = try await Machine.run(
            topology, kernel: machine.kernels()[0], name: "run",
            preparation: machine.driver.preparation
        ) { machine in
            if machine.topology.hasClock { try await machine.serveClock() }
            let outcome = try await machine.guest.run(
                command.joined(separator: " "), status: nil, within: within)
            write(outcome.outputBytes, to: 1)
            write(outcome.errorBytes, to: 2)
            if dmesg { write(try await machine.guest.run("dmesg").outputBytes, to: 2) }
            return outcome.status
        }
        if status != 0 { throw ExitCode(Int32(status)) }
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
