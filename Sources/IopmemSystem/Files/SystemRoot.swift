// SPDX-License-Identifier: GPL-2.0
import Glibc
public import SystemPackage

/// The file tree that the readers look at: the machine's own, or a captured one.
///
/// All paths given to it are absolute, as on the machine (`/sys/class/iopmem`);
/// it puts its own root in front of them.
public struct SystemRoot: Sendable, Equatable {
    /// What stands in front of every path; empty for the machine's own tree.
    public let prefix: String

    /// The machine's own tree.
    public static let machine = SystemRoot(prefix: "")

    /// A tree below `prefix`, without a slash at its end.
    public init(prefix: String) {
        var trimmed = Substring(prefix)
        while trimmed.last == "/" { trimmed.removeLast() }
        self.prefix = String(trimmed)
    }

    /// Where `path` really lies.
    public func resolve(_ path: String) -> String { prefix + path }

    /// The whole content of a file.
    public func bytes(_ path: String) throws(Errno) -> [UInt8] {
        let file = try OwnedDescriptor(path: resolve(path))
        return try file.readToEnd()
    }

    /// The beginning of a file or of a device.
    public func bytes(_ path: String, upTo count: Int) throws(Errno) -> [UInt8] {
        let file = try OwnedDescriptor(path: resolve(path))
        return try file.read(count: count, at: 0)
    }

    /// A file as text, without white space at its end.
    public func text(_ path: String) throws(Errno) -> String {
        var text = Substring(String(decoding: try bytes(path), as: UTF8.self))
        while let last = text.last, last.isWhitespace || last == "\0" { text.removeLast() }
        return String(text)
    }

    /// The same, or nil for a file that cannot be read.
    public func optionalText(_ path: String) -> String? {
        try? text(path)
    }

    /// A number as sysfs writes it: decimal, or hexadecimal after 0x.
    public func number(_ path: String) throws(Errno) -> UInt64 {
        guard let value = UInt64(sysfs: try text(path)) else { throw Errno.invalidArgument }
        return value
    }

    /// The names in a directory, sorted, without `.` and `..`.
    public func entries(_ path: String) throws(Errno) -> [String] {
        let directory = try retryingPointer { opendir(resolve(path)) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The target of a symbolic link, as it is written there.
    public func linkTarget(_ path: String) throws(Errno) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = try retrying {
            buffer.withUnsafeMutableBufferPointer { bytes -> Int in
                guard let base = bytes.baseAddress else { return 0 }
                return readlink(resolve(path), base, bytes.count)
            }
        }
        return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The last component of a link's target, nil where there is no link: how
    /// sysfs says which driver, device or subsystem something has.
    public func linkName(_ path: String) -> String? {
        guard let target = try? linkTarget(path) else { return nil }
        return target.split(separator: "/").last.map(String.init)
    }

    /// Whether something stands at `path`, a dangling link not counted.
    public func exists(_ path: String) -> Bool {
        access(resolve(path), F_OK) == 0
    }

    /// `path` without links, as seen below the root; nil if it leads nowhere.
    public func realPath(_ path: String) -> String? {
        guard let resolved = realpath(resolve(path), nil) else { return nil }
        defer { free(resolved) }
        let full = String(cString: resolved)
        guard !prefix.isEmpty else { return full }
        guard let base = realpath(prefix, nil) else { return nil }
        defer { free(base) }
        let root = String(cString: base)
        guard full.hasPrefix(root + "/") else { return nil }
        return String(full.dropFirst(root.count))
    }
}

extension UInt64 {
    /// Reads a number as sysfs writes it: decimal, or hexadecimal after `0x`.
    public init?(sysfs text: some StringProtocol) {
        let value =
            text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text, radix: 10)
        guard let value else { return nil }
        self = value
    }
}
