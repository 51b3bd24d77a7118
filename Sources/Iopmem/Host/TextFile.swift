// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem
import SystemPackage

/// Files for other programs.
public enum TextFile {
    /// Puts a file that everybody may read in the place of `path`: a reader sees
    /// the old one or the new one, whole.
    public static func replace(
        _ path: String, with text: String, root: SystemRoot
    ) throws(IopmemError) {
        let target = root.resolve(path)
        // Next to it, since a file cannot be renamed across file systems, with a name that
        // `*.prom` does not match.
        let draft = target + ".new"
        // A link that somebody has put there is not followed.
        FileName.remove(draft)
        do throws(Errno) {
            let file = try OwnedDescriptor(creating: draft, replacing: false)
            try file.writeAll(Array(text.utf8))
            try file.allowReading()
            try file.synchronize()
            try FileName.rename(draft, to: target)
        } catch {
            FileName.remove(draft)
            throw IopmemError(error, "cannot write \(path)")
        }
    }
}
