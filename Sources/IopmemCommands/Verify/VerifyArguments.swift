// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
import Iopmem
public import IopmemVerify

/// fio's booleans.
enum Switch: String, ExpressibleByArgument, CaseIterable {
    case off = "0"
    case on = "1"
}

extension Workload.Pattern: ExpressibleByArgument {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension Workload.EngineName: ExpressibleByArgument {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension VerifyMethod: ExpressibleByArgument {
    /// Those with a header.
    static var names: String {
        allCases.filter { $0 != .pattern }.map(\.rawValue).joined(separator: ", ")
    }
}

extension FioRelease: ExpressibleByArgument {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
