// SPDX-License-Identifier: GPL-2.0

import Glibc

/// What the environment asks of a run.
enum Setting {
    /// A variable that is a number; nil where there is none.
    static func number(_ name: String) -> Int? {
        getenv(name).flatMap { Int(String(cString: $0)) }
    }
}
