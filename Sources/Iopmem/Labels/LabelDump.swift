// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
public import IopmemSystem
import SystemPackage

/// A label area in a file.
public enum LabelDump {
    /// The whole file, cut off where it is longer than a dump can be.
    public static func read(_ file: String, root: SystemRoot) throws(IopmemError) -> [UInt8] {
        do throws(Errno) {
            let descriptor = try OwnedDescriptor(path: root.resolve(file))
            return try descriptor.read(count: LabelFormat.areaSize + 1, at: 0)
        } catch {
            throw IopmemError(
                error, "cannot read \(file)",
                remedy: "name a file that iopmemctl labels dump has written")
        }
    }

    /// Writes a file that only its owner can read; one that is there already is
    /// replaced only if `replacing`.
    public static func write(
        _ bytes: [UInt8], to file: String, replacing: Bool, root: SystemRoot
    ) throws(IopmemError) {
        do throws(Errno) {
            let descriptor = try OwnedDescriptor(
                creating: root.resolve(file), replacing: replacing)
            try descriptor.writeAll(bytes)
            try descriptor.synchronize()
        } catch {
            throw IopmemError(
                error, "cannot write \(file)",
                remedy: error == .fileExists ? "add --force to replace it" : nil)
        }
    }
}
