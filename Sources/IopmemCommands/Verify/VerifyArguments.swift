// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
import Iopmem
public import IopmemVerify

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

/// fio's booleans.
enum Switch: String, ExpressibleByArgument, CaseIterable {
    case off = "0"
    case on = "1"
}

/// fio's `verify`, as far as it is here.
enum Checksum: String, ExpressibleByArgument, CaseIterable {
    case crc32c
}

extension Workload.Pattern: ExpressibleByArgument {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension Workload.EngineName: ExpressibleByArgument {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
