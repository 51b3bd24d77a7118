// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// Waiting between two looks at something that sends no event.
public enum Pause {
    /// 20 ms; a signal ends it early.
    public static func briefly() {
        _ = poll(nil, 0, 20)
    }
}
