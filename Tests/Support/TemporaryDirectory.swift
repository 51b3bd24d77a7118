// SPDX-License-Identifier: GPL-2.0
import Glibc
public import IopmemSystem
import SystemPackage

/// A directory of a test's own, removed with everything in it when the test lets
/// go of it.
public final class TemporaryDirectory {
    /// Where it is.
    public let path: String

    /// The tree in it.
    public var root: SystemRoot { SystemRoot(prefix: path) }

    /// Makes an empty one.
    public init() throws {
        var template = Array("/tmp/iopmem-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Errno(rawValue: errno) }
        path = String(cString: made)
    }

    deinit {
        try? remove("")
        _ = rmdir(path)
    }

    /// Makes a directory and those above it.
    public func makeDirectory(_ directory: String) throws {
        var current = path
        for part in directory.split(separator: "/") {
            current += "/\(part)"
            guard mkdir(current, 0o755) == 0 || errno == EEXIST else {
                throw Errno(rawValue: errno)
            }
        }
    }

    /// Writes a file, replacing what stood there.
    public func write(_ bytes: [UInt8], to file: String) throws {
        try makeDirectory(parent(of: file))
        let descriptor = open(path + file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        let owner = OwnedDescriptor(adopting: FileDescriptor(rawValue: descriptor))
        try owner.writeAll(bytes)
    }

    /// Writes a line of text.
    public func write(_ text: String, to file: String) throws {
        try write(Array((text + "\n").utf8), to: file)
    }

    /// Makes a symbolic link.
    public func link(_ file: String, to target: String) throws {
        try makeDirectory(parent(of: file))
        guard symlink(target, path + file) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Removes a file, a link, or a directory with everything in it.
    public func remove(_ file: String) throws {
        let full = path + file
        var status = stat()
        guard lstat(full, &status) == 0 else { throw Errno(rawValue: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            guard unlink(full) == 0 else { throw Errno(rawValue: errno) }
            return
        }
        for entry in try root.entries(file.isEmpty ? "/" : file) { try remove("\(file)/\(entry)") }
        if !file.isEmpty, rmdir(full) != 0 { throw Errno(rawValue: errno) }
    }

    /// Every file, link and directory with its content.
    public func snapshot() throws -> [String: String] {
        var found: [String: String] = [:]
        try collect("", into: &found)
        return found
    }

    private func collect(_ directory: String, into found: inout [String: String]) throws {
        for entry in try root.entries(directory.isEmpty ? "/" : directory) {
            let file = "\(directory)/\(entry)"
            if let target = try? root.linkTarget(file) {
                found[file] = "-> \(target)"
            } else if (try? root.entries(file)) != nil {
                found[file] = "directory"
                try collect(file, into: &found)
            } else {
                found[file] = String(decoding: try root.bytes(file), as: UTF8.self)
            }
        }
    }

    private func parent(of file: String) -> String {
        guard let slash = file.lastIndex(of: "/") else { return "" }
        return String(file[..<slash])
    }
}
