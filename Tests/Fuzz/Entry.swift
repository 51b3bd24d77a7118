// SPDX-License-Identifier: GPL-2.0
import Glibc

/// A claim about a parser that holds for every input.
///
/// What does not hold, traps, and libFuzzer keeps the input.
func claim(_ holds: Bool, _ text: @autoclosure () -> String) {
    guard holds else { fatalError("not so: \(text())") }
}

/// Which parser the inputs are for, and what is claimed of it.
private enum Subject: String, CaseIterable {
    /// Label areas, with edits that may have right checksums.
    case labels
    /// Files in /etc/iopmem.
    case config
    /// fio's blocks.
    case blocks
    /// fio's job files, and what --state keeps.
    case jobs
    /// What users and the kernel write in a line: sizes, addresses, ids, tables.
    case words

    func examine(_ input: [UInt8]) {
        switch self {
        case .labels: LabelClaims.examine(input)
        case .config: ConfigClaims.examine(input)
        case .blocks: BlockClaims.examine(input)
        case .jobs: JobClaims.examine(input)
        case .words: WordClaims.examine(input)
        }
    }

    /// By the environment, since the command line is libFuzzer's.
    static let chosen: Subject = {
        let name = getenv("IOPMEM_FUZZ").map { String(cString: $0) } ?? ""
        guard let subject = Subject(rawValue: name) else {
            let names = allCases.map(\.rawValue).joined(separator: ", ")
            fatalError("IOPMEM_FUZZ=\(name) is none of \(names)")
        }
        return subject
    }()
}

/// What libFuzzer calls with each input; a status other than 0 is for its future.
@_cdecl("LLVMFuzzerTestOneInput")
public func examineInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    Subject.chosen.examine(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// Takes an input apart; behind its end there are zeros.
struct Input {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// A number below `limit`, of two bytes.
    mutating func number(below limit: Int) -> Int {
        let value = Int(byte()) << 8 | Int(byte())
        return value % limit
    }
}
