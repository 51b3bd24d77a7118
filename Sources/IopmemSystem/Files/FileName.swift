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

    /// What stands before the last slash.
    public static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Makes a directory that everybody may look into, unless it is there; what it stands in must
    /// be.
    public static func makeDirectory(_ path: String) throws(Errno) {
        do throws(Errno) {
            try retrying { mkdir(path, 0o755) }
        } catch .fileExists {
            // Whose directory it is, or that it is a file, shows when it is used.
        }
    }

    /// Removes an empty directory.
    public static func removeDirectory(_ path: String) throws(Errno) {
        try retrying { rmdir(path) }
    }

    /// Makes a symbolic link, unless the name is taken.
    public static func makeLink(_ path: String, to target: String) throws(Errno) {
        do throws(Errno) {
            try retrying { symlink(target, path) }
        } catch .fileExists {
            // As with a directory.
        }
    }

    /// Removes a name that must be there.
    public static func removeLink(_ path: String) throws(Errno) {
        try retrying { unlink(path) }
    }

    /// Gives a file another name, in place of what had it.
    public static func rename(_ path: String, to other: String) throws(Errno) {
        try retrying { Glibc.rename(path, other) }
    }
}
