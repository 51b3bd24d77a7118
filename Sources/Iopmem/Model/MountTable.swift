// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What is mounted, as this process sees it.
struct MountTable {
    struct Mount: Equatable {
        let device: DeviceNumber?
        let path: String
        let type: String
        /// What was mounted: a device's path, usually.
        let source: String
        /// Of the mount and of the file system.
        let options: [String]
    }

    let mounts: [Mount]

    init(root: SystemRoot) {
        self.init(mountinfo: root.optionalText("/proc/self/mountinfo") ?? "")
    }

    /// Reads proc(5)'s mountinfo: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 -
    /// ext3 /dev/root rw,errors=continue`, with octal escapes.
    init(mountinfo: String) {
        mounts = mountinfo.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else {
                return nil
            }
            let options = fields[5].split(separator: ",") + fields[dash + 3].split(separator: ",")
            return Mount(
                device: DeviceNumber(fields[2]),
                path: Self.unescaped(fields[4]),
                type: Self.unescaped(fields[dash + 1]),
                source: Self.unescaped(fields[dash + 2]),
                options: options.map { Self.unescaped($0) })
        }
    }

    /// Mounts of a file system on this device. The source is looked at as well,
    /// because btrfs shows a device number of its own making.
    func mounts(of number: DeviceNumber?, path: String) -> [Mount] {
        mounts.filter { ($0.device != nil && $0.device == number) || $0.source == path }
    }

    /// Spaces, tabs, newlines and backslashes are written as `\040` and so on.
    static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            let digits = rest.dropFirst().prefix(3).map { Int($0) - 0x30 }
            if byte == 0x5c, digits.count == 3, digits.allSatisfy({ (0...7).contains($0) }) {
                bytes.append(UInt8(truncatingIfNeeded: digits[0] << 6 | digits[1] << 3 | digits[2]))
                rest = rest.dropFirst(4)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
