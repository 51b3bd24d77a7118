// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// The file trees of real machines, written down by Captured/capture.sh.
public enum CapturedTree: String, Sendable {
    /// Two memory cards and an NVMe drive on the root complex, nothing bound.
    ///
    ///     root complex ─┬─ 0000:00:10.0   256 MiB card
    ///                   ├─ 0000:00:11.0    64 MiB card
    ///                   └─ 0000:00:12.0   NVMe, driver nvme
    case twoCards = "q35-two-cards"
    /// A bound card behind a switch with a mounted and a partitioned namespace.
    case mounted = "q35-mounted"

    /// Puts the tree into a directory of its own.
    public func unpack() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        let source = String(#filePath.dropLast("CapturedTree.swift".count))
        let text = try SystemRoot.machine.text("\(source)Captured/\(rawValue).sysfs")
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let fields = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
                .map(String.init)
            switch (fields[0], fields.count) {
            case ("L", 3): try directory.link(fields[1], to: fields[2])
            case ("F", 3): try directory.write(Self.unescaped(fields[2]), to: fields[1])
            case ("X", 3): try directory.write(Self.bytes(fields[2]), to: fields[1])
            case ("D", _): try directory.makeDirectory(fields[1])
            default: throw Errno.invalidArgument
            }
        }
        return directory
    }

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }

    private static func unescaped(_ text: String) -> String {
        guard text.contains("\\") else { return text }
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                bytes.append(byte == UInt8(ascii: "n") ? UInt8(ascii: "\n") : byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
