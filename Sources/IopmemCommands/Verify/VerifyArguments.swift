// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
import Iopmem
public import IopmemVerify

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
