// SPDX-License-Identifier: GPL-2.0
import Glibc
import IopmemSystem
import Testing

/// A folder of its own for a test, gone with its owner.
final class Scratch {
    let folder: String

    init() throws {
        let random = UInt64.random(in: .min ... .max)
        folder = "/tmp/iopmem-verify-\(String(random, radix: 36))"
        try #require(mkdir(folder, 0o700) == 0)
    }

    deinit {
        _ = try? Program.run("/bin/rm", ["-rf", folder])
    }

    /// The path of something in it.
    func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// Writes a file, with the folders above it.
    func write(_ name: String, _ bytes: [UInt8]) throws {
        let parent = path(name).split(separator: "/").dropLast().joined(separator: "/")
        _ = try Program.run("/bin/mkdir", ["-p", "/" + parent])
        let file = try OpenFile(path(name), [.write, .create])
        try file.resize(to: 0)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    /// Writes a text file.
    func write(_ name: String, _ text: String) throws {
        try write(name, Array(text.utf8))
    }

    /// Makes a symbolic link.
    func link(_ name: String, to target: String) throws {
        let parent = path(name).split(separator: "/").dropLast().joined(separator: "/")
        _ = try Program.run("/bin/mkdir", ["-p", "/" + parent])
        try #require(symlink(target, path(name)) == 0)
    }

    /// Changes bytes of a file.
    func damage(
        _ name: String, at offset: UInt64, _ change: (inout [UInt8]) -> Void, count: Int = 1
    )
        throws
    {
        let file = try OpenFile(path(name), .write)
        var bytes = [UInt8](repeating: 0, count: count)
        _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
        change(&bytes)
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
    }
}
