// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

extension PCIAddress: ExpressibleByArgument {
    /// A BDF on the command line.
    public init?(argument: String) {
        self.init(argument)
    }
}

extension CreateRequest.Size: ExpressibleByArgument {
    /// `max`, or bytes with K, M, G or T.
    public init?(argument: String) {
        if argument == "max" {
            self = .max
        } else if let bytes = ByteSize.parse(argument) {
            self = .bytes(bytes)
        } else {
            return nil
        }
    }

    /// As it would be written.
    public var defaultValueDescription: String {
        switch self {
        case .max: "max"
        case .bytes(let bytes): ByteSize.exact(bytes)
        }
    }
}

extension Namespace.Mode: ExpressibleByArgument {
    /// One of the contract's words.
    public init?(argument: String) {
        self.init(rawValue: argument)
        guard Self.all.contains(self) else { return nil }
    }

    /// All of them, for the help.
    public static var allValueStrings: [String] { all.map(\.rawValue) }
    /// The same, for shells.
    public static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

extension Namespace.PageMap: ExpressibleByArgument {
    /// `mem` or `dev`.
    public init?(argument: String) {
        self.init(rawValue: argument)
        guard self == .mem || self == .dev else { return nil }
    }

    /// Both of them, for the help.
    public static var allValueStrings: [String] { ["mem", "dev"] }
    /// The same, for shells.
    public static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

/// A number of bytes on the command line: `4096`, `4k`, `1G`.
struct Size: ExpressibleByArgument {
    let bytes: UInt64

    init(_ bytes: UInt64) { self.bytes = bytes }

    init?(argument: String) {
        guard let bytes = ByteSize.parse(argument) else { return nil }
        self.bytes = bytes
    }

    var defaultValueDescription: String { ByteSize.exact(bytes) }
}

/// What becomes of a region's contents without power.
enum Media: String, ExpressibleByArgument, CaseIterable {
    case volatile
    case persistent
}

/// Checks a `--bar`.
func validate(bar: Int?) throws {
    guard let bar, !(0...5).contains(bar) else { return }
    throw ValidationError("--bar is a number from 0 to 5.")
}
