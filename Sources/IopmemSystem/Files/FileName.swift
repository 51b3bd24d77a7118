// SPDX-License-Identifier: GPL-2.0
private import Glibc
public import SystemPackage

/// What names of files can be made to do.
public enum FileName {
    /// Removes a name, if it is there.
    public static func remove(_ path: String) {
        _ = unlink(path)
    }

    /// Whether the name is free or an ordinary file's, and not a device's, a
    /// directory's or a link's.
    public static func isFreeOrFile(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
    }

    /// Gives a file another name, in place of what had it.
    public static func rename(_ path: String, to other: String) throws(Errno) {
        try retrying { Glibc.rename(path, other) }
    }
}
