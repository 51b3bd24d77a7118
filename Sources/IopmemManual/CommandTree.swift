// SPDX-License-Identifier: GPL-2.0
import FoundationEssentials

/// A command line as its definitions describe it: what `--experimental-dump-help`
/// of swift-argument-parser prints. Only what a manual needs.
struct CommandTree: Decodable {
    let command: Command

    struct Command: Decodable {
        let commandName: String
        let abstract: String?
        let discussion: String?
        let arguments: [Argument]?
        let subcommands: [Command]?
    }

    struct Argument: Decodable {
        let kind: Kind
        let names: [Name]?
        let valueName: String?
        let abstract: String?
        let discussion: String?
        let defaultValue: String?
        let allValues: [String]?
        let isOptional: Bool
        let isRepeating: Bool
        let shouldDisplay: Bool
    }

    enum Kind: String, Decodable {
        case positional, option, flag
    }

    struct Name: Decodable {
        let kind: Kind
        let name: String

        enum Kind: String, Decodable {
            case long, short, longWithSingleDash
        }

        /// As it is typed.
        var text: String { (kind == .long ? "--" : "-") + name }
    }

    init(dump: [UInt8]) throws {
        self = try JSONDecoder().decode(CommandTree.self, from: Data(dump))
    }
}
