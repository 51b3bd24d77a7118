// SPDX-License-Identifier: GPL-2.0

import Glibc
public import SystemPackage

/// Where the lab finds and puts things. All that it makes is below one folder, which git ignores.
public enum Layout {
    /// The checkout that this program was built from.
    public static let repository = FilePath(#filePath)
        .removingLastComponent().removingLastComponent().removingLastComponent()

    /// Downloads, build roots, kernels, modules and records; safe to delete as a whole.
    public static let cache = repository.appending(".cache")

    /// The driver's source.
    public static let driver = repository.appending("kmod")

    /// Records of failed scenarios, one folder each.
    public static let failures = cache.appending("failures")

    /// The release build of iopmemctl that guests get on their PATH.
    public static let tools = cache.appending("tools/bin")

    /// The Python environment with virtme-ng in it.
    static let virtme = cache.appending("venv")
}

/// The few file operations that the lab needs, with errors that name the path.
enum Files {
    static func exists(_ path: FilePath) -> Bool {
        access(path.string, F_OK) == 0
    }

    static func makeDirectory(_ path: FilePath) throws(LabError) {
        if path.isEmpty || exists(path) { return }
        try makeDirectory(path.removingLastComponent())
        if mkdir(path.string, 0o755) != 0, errno != EEXIST { throw failure("create", path) }
    }

    static func read(_ path: FilePath) throws(LabError) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            var bytes: [UInt8] = []
            let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
            defer { chunk.deallocate() }
            while true {
                let count = try file.read(into: chunk)
                if count == 0 { return bytes }
                bytes.append(contentsOf: chunk[..<count])
            }
        } catch {
            throw LabError("cannot read \(path): \(error)")
        }
    }

    static func text(_ path: FilePath) throws(LabError) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    static func write(_ text: String, to path: FilePath) throws(LabError) {
        try write(Array(text.utf8), to: path)
    }

    static func write(_ bytes: [UInt8], to path: FilePath) throws(LabError) {
        do {
            let file = try FileDescriptor.open(
                path, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
            try file.closeAfter { _ = try file.writeAll(bytes) }
        } catch {
            throw LabError("cannot write \(path): \(error)")
        }
    }

    /// Moves in one step, so that the new name is either absent or complete.
    static func rename(_ from: FilePath, to path: FilePath) throws(LabError) {
        if Glibc.rename(from.string, path.string) != 0 { throw failure("rename to", path) }
    }

    /// The names in a folder, sorted; empty when there is no such folder.
    static func names(in path: FilePath) -> [String] {
        guard let stream = opendir(path.string) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a folder that was made by the lab, as far as that is possible.
    static func discard(_ folder: FilePath) {
        for name in names(in: folder) {
            let path = folder.appending(name)
            if isDirectory(path) { discard(path) } else { unlink(path.string) }
        }
        rmdir(folder.string)
    }

    static func isDirectory(_ path: FilePath) -> Bool {
        var info = stat()
        return lstat(path.string, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    /// Seconds since the file was written; nil when there is none.
    static func age(_ path: FilePath) -> Int? {
        var info = stat()
        guard stat(path.string, &info) == 0 else { return nil }
        return time(nil) - info.st_mtim.tv_sec
    }

    private static func failure(_ verb: String, _ path: FilePath) -> LabError {
        LabError("cannot \(verb) \(path): \(Errno(rawValue: errno))")
    }
}
