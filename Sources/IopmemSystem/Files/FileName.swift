// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// Taking files away again.
public enum FileRemoval {
    /// Removes a name, if it is there.
    public static func unlink(_ path: String) {
        _ = Glibc.unlink(path)
    }
}
