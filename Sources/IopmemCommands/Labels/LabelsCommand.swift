// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
import Iopmem

/// `iopmemctl labels`
public struct Labels: ParsableCommand {
    /// Its name, help and verbs.
    public static let configuration = CommandConfiguration(
        commandName: "labels",
        abstract: "The labels of namespaces that are kept on the device.",
        discussion: """
            A region with a label area remembers its namespaces in its own first 2 MiB, and brings \
            them along to another slot or machine: iopmemctl restore brings them back there.
            """,
        subcommands: [
            LabelsInit.self, LabelsShow.self, LabelsCheck.self, LabelsDump.self,
            LabelsRestore.self,
        ])

    /// For ArgumentParser.
    public init() {}
}

/// Which region: on every `labels` command.
struct LabelArguments: ParsableArguments {
    @Argument(
        help: "The PCI function, written like 0000:03:00.0; it is bound to iopmem.",
        completion: .boundFunction)
    var function: PCIAddress

    @Option(help: "The BAR, 0 to 5, where several of the function are regions.")
    var bar: Int?

    mutating func validate() throws {
        try IopmemCommands.validate(bar: bar)
    }

    var target: LabelTarget { LabelTarget(function, bar: bar) }
}

extension ChangeOptions {
    /// Tells what is lost, and asks unless --yes.
    func confirm(
        _ loss: String, typing word: String, _ console: Console
    ) throws(IopmemError) {
        guard !yes, !dryRun else { return console.note(loss) }
        let answer = try console.answer(to: "\(loss)\nType \(word) to go on: ")
        guard answer == word else {
            throw IopmemError(.failed, "nothing was changed", because: "not confirmed")
        }
    }
}
