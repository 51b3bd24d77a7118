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
        // As root it would take the place of /dev/null, too.
        guard FileName.isFreeOrFile(target) else {
            throw IopmemError(
                .failed, "cannot replace \(path)", because: "it is not an ordinary file",
                remedy: "name a file, or write to stdout")
        }
        // In the same directory, since a file cannot be renamed across file systems, with a
        // name that `*.prom` does not match and nobody else has.
        let slash = target.lastIndex(of: "/").map { target.index(after: $0) } ?? target.startIndex
        let draft = "\(target[..<slash]).\(target[slash...]).iopmemctl"
        // A link that somebody has put there is not followed.
        FileName.remove(draft)
        do throws(Errno) {
            let file = try OwnedDescriptor(creating: draft, replacing: false)
            try file.writeAll(Array(text.utf8))
            try file.allowReading()
            try file.synchronize()
            try FileName.rename(draft, to: target)
            // The new name is in the directory, which has to reach the disk as well.
            try OwnedDescriptor(path: FileName.directory(of: target)).synchronize()
        } catch {
            FileName.remove(draft)
            throw IopmemError(error, "cannot write \(path)")
        }
    }
}
