// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import IopmemSystem
import SystemPackage

/// A file for a report, made whole or not at all.
///
/// Where it cannot be made, that is known before the work and not only after it.
public final class ReportFile {
    private let path: String
    private let draft: String
    private let file: OpenFile
    private var isDone = false

    /// Makes sure that it can be written, beside what is there now.
    public init(_ path: String) throws(IopmemError) {
        self.path = path
        draft = "\(path).part"
        do throws(Errno) {
            if let kind = try? FileStatus(of: path).kind, kind != .regular {
                throw .invalidArgument
            }
            FileName.remove(draft)
            file = try OpenFile(draft, [.write, .create, .exclusive])
        } catch {
            throw IopmemError(
                error, "cannot write the report \(path)",
                remedy: error == .invalidArgument ? "name a regular file" : nil)
        }
    }

    deinit { if !isDone { FileName.remove(draft) } }

    /// Puts the text in the file's place.
    public func write(_ text: String) throws(IopmemError) {
        var text = text
        do {
            try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0), at: 0) }
            try file.sync()
            try FileName.rename(draft, to: path)
            isDone = true
        } catch {
            throw IopmemError(
                error as? Errno ?? .ioError, "cannot write the report \(path)",
                remedy: "free some room, or name another file; what was found is above")
        }
    }
}
