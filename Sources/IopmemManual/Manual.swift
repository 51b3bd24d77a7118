// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem
import IopmemCommands

/// The manual pages of section 8, made from the definitions of the commands.
public struct Manual {
    /// A page.
    public struct Page: Sendable, Equatable {
        /// Its file: `iopmemctl-bind.8`.
        public let name: String
        /// man(7).
        public let text: String
    }

    private let root: CommandTree.Command

    /// The manual of `iopmemctl`.
    public init() throws {
        let dump = Iopmemctl._dumpHelp()
        root = try CommandTree(dump: Array(dump.utf8)).command
    }

    /// A page for each command, and for each verb of those that have some.
    public var pages: [Page] {
        [overview]
            + (root.subcommands ?? []).filter { $0.commandName != "help" }.flatMap {
                pages(of: $0, below: root.commandName)
            }
    }

    private func pages(of command: CommandTree.Command, below parent: String) -> [Page] {
        let name = "\(parent) \(command.commandName)"
        return [page(command, name)]
            + (command.subcommands ?? []).filter { $0.commandName != "help" }.flatMap {
                pages(of: $0, below: name)
            }
    }

    // MARK: - Pages

    private var overview: Page {
        var roff = Roff()
        begin(&roff, root, root.commandName)
        roff.macro("SH", "DESCRIPTION")
        roff.paragraphs(
            """
            iopmemctl exposes the memory BARs of PCIe devices as namespaces: block devices that file \
            systems mount with -o dax, and character devices to map. It finds such devices, binds \
            them to the driver iopmem, and creates, lists, verifies and destroys namespaces.

            A NAME is the kernel's name of a namespace (iopmem0n1), the name that was given to it, \
            its UUID, or a path. A device is a PCI function, written like 0000:03:00.0. Sizes take K, \
            M, G and T, which are powers of 1024.

            stdout has results only: a table, or with -o json one object with "schema": 1 and \
            always the same shape, whose keys are listed in docs/json.md, in Debian \
            /usr/share/doc/iopmem-tools/json.md. All talk goes to stderr.
            """)
        roff.macro("SH", "COMMANDS")
        for command in root.subcommands ?? [] where command.commandName != "help" {
            roff.macro("TP")
            roff.line("\\fB\(Roff.escaped("\(root.commandName)-\(command.commandName)"))\\fR(8)")
            roff.line(Roff.escaped(command.abstract ?? ""))
        }
        end(&roff, root.commandName)
        return Page(name: "\(root.commandName).8", text: roff.text)
    }

    private func page(_ command: CommandTree.Command, _ name: String) -> Page {
        var roff = Roff()
        let title = name.replacing(" ", with: "-")
        begin(&roff, command, name)
        let (description, examples) = parts(of: command.discussion ?? "")
        if !description.isEmpty {
            roff.macro("SH", "DESCRIPTION")
            roff.paragraphs(description)
        }
        verbs(&roff, command, title)
        options(&roff, command)
        if !examples.isEmpty {
            roff.macro("SH", "EXAMPLES")
            roff.literal(examples.split(separator: "\n"))
        }
        end(&roff, title)
        return Page(name: "\(title).8", text: roff.text)
    }

    private func begin(_ roff: inout Roff, _ command: CommandTree.Command, _ name: String) {
        let title = name.replacing(" ", with: "-")
        roff.comment("SPDX-License-Identifier: GPL-2.0")
        roff.comment("Made from the definitions of the commands; do not edit.")
        roff.macro(
            "TH", title.uppercased(), "8", "", "iopmem \(Iopmemctl.version)",
            "System Administration")
        roff.macro("SH", "NAME")
        var abstract = command.abstract ?? ""
        if abstract.hasSuffix(".") { abstract.removeLast() }
        roff.line("\(Roff.escaped(title)) \\- \(Roff.escaped(abstract))")
        roff.macro("SH", "SYNOPSIS")
        roff.line(synopsis(command, name))
    }

    private func end(_ roff: inout Roff, _ title: String) {
        roff.macro("SH", "EXIT STATUS")
        for (status, meaning) in ExitStatus.all {
            roff.macro("TP")
            roff.line(Roff.bold("\(status)"))
            roff.line(Roff.escaped(meaning))
        }
        roff.macro("SH", "FILES")
        for (file, meaning) in [
            ("/etc/iopmem/*.conf", "which cards and namespaces come back at boot"),
            ("/dev/iopmem/by-uuid, by-name, by-path", "links to the nodes of namespaces"),
        ] {
            roff.macro("TP")
            roff.line(Roff.italic(file))
            roff.line(Roff.escaped(meaning))
        }
        roff.macro("SH", "SEE ALSO")
        let others = title == root.commandName ? [] : ["\(root.commandName)(8)"]
        roff.line((others + ["iopmem.conf(5)"]).map(Self.reference).joined(separator: ", "))
    }

    private static func reference(_ page: String) -> String {
        let parts = page.split(separator: "(", maxSplits: 1)
        return "\\fB\(Roff.escaped(parts[0]))\\fR(\(parts[1])"
    }

    // MARK: - Parts

    /// What stands before and after the line EXAMPLES.
    private func parts(of discussion: String) -> (description: String, examples: String) {
        guard let range = discussion.range(ofLine: "EXAMPLES") else { return (discussion, "") }
        var description = discussion[..<range.lowerBound]
        while description.last?.isNewline == true { description.removeLast() }
        return (String(description), String(discussion[range.upperBound...]))
    }

    private func synopsis(_ command: CommandTree.Command, _ line: String) -> String {
        if let verbs = command.subcommands, !verbs.isEmpty {
            return "\(Roff.bold(line)) \(Roff.italic("COMMAND")) ..."
        }
        let parts = shown(command).map { argument in
            let value = Roff.italic((argument.valueName ?? "").uppercased())
            let more = argument.isRepeating ? "..." : ""
            let text =
                switch argument.kind {
                case .positional: value + more
                case .flag: Roff.bold(name(of: argument))
                case .option: "\(Roff.bold(name(of: argument))) \(value)\(more)"
                }
            return argument.isOptional ? "[\(text)]" : text
        }
        return ([Roff.bold(line)] + parts).joined(separator: " ")
    }

    private func verbs(_ roff: inout Roff, _ command: CommandTree.Command, _ title: String) {
        let verbs = (command.subcommands ?? []).filter { $0.commandName != "help" }
        guard !verbs.isEmpty else { return }
        roff.macro("SH", "COMMANDS")
        for verb in verbs {
            roff.macro("TP")
            roff.line("\\fB\(Roff.escaped("\(title)-\(verb.commandName)"))\\fR(8)")
            roff.line(Roff.escaped(verb.abstract ?? ""))
        }
    }

    private func options(_ roff: inout Roff, _ command: CommandTree.Command) {
        guard command.subcommands?.isEmpty ?? true else { return }
        roff.macro("SH", "OPTIONS")
        for argument in shown(command) {
            roff.macro("TP")
            let value = Roff.italic((argument.valueName ?? "").uppercased())
            let names = (argument.names ?? []).map { Roff.bold($0.text) }.joined(separator: ", ")
            switch argument.kind {
            case .positional: roff.line(value)
            case .flag: roff.line(names)
            case .option: roff.line("\(names) \(value)")
            }
            roff.line(Roff.escaped(argument.abstract ?? ""))
            if let values = argument.allValues, !values.isEmpty {
                roff.line(Roff.escaped("One of \(values.joined(separator: ", "))."))
            }
            if let value = argument.defaultValue { roff.line(Roff.escaped("Default: \(value).")) }
        }
    }

    private func shown(_ command: CommandTree.Command) -> [CommandTree.Argument] {
        let general = ["--version", "--help"]
        return (command.arguments ?? []).filter { argument in
            argument.shouldDisplay
                && !(argument.names ?? []).contains { general.contains($0.text) }
        }
    }

    private func name(of argument: CommandTree.Argument) -> String {
        let names = argument.names ?? []
        return (names.first { $0.kind == .short } ?? names.first)?.text ?? ""
    }
}

extension String {
    /// Where a line stands that says this and no more.
    fileprivate func range(ofLine line: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            let end = self[start...].firstIndex(of: "\n") ?? endIndex
            if self[start..<end] == line[...] {
                return start..<(end == endIndex ? end : index(after: end))
            }
            start = end == endIndex ? end : index(after: end)
        }
        return nil
    }
}
