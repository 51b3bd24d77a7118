// SPDX-License-Identifier: GPL-2.0
import Glibc
public import SystemPackage

/// The socket of systemd's journal, and what goes into it
/// (systemd.io/JOURNAL_NATIVE_PROTOCOL).
public struct JournalSocket: Sendable {
    /// Where the journal listens.
    public static let standardPath = "/run/systemd/journal/socket"

    private let path: String

    /// The socket at `path`.
    public init(path: String = standardPath) {
        self.path = path
    }

    /// Sends one entry; fails with ENOENT where there is no journal.
    public func send(_ fields: [(name: String, value: String)]) throws(Errno) {
        let number = try retrying { socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0) }
        let descriptor = OwnedDescriptor(adopting: FileDescriptor(rawValue: number))
        let (address, length) = try Self.address(of: path)
        let entry = Self.entry(fields)
        let raw = descriptor.raw.rawValue
        try withUnsafePointer(to: address) { pointer throws(Errno) in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                (pointer) throws(Errno) in
                _ = try retrying {
                    entry.withUnsafeBytes {
                        // Nobody shall wait for a journal that does not read.
                        sendto(
                            raw, $0.baseAddress, $0.count,
                            Int32(MSG_DONTWAIT | MSG_NOSIGNAL), pointer, length)
                    }
                }
            }
        }
    }

    /// `NAME=value`, or for a value with line breaks its name, its length in 64
    /// bits with the lowest byte first, and the bytes; each with a newline.
    static func entry(_ fields: [(name: String, value: String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes += name.utf8
            if value.contains("\n") {
                bytes.append(UInt8(ascii: "\n"))
                let length = UInt64(value.utf8.count).littleEndian
                withUnsafeBytes(of: length) { bytes += $0 }
            } else {
                bytes.append(UInt8(ascii: "="))
            }
            bytes += value.utf8
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }

    static func address(of path: String) throws(Errno) -> (sockaddr_un, socklen_t) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard bytes.count < room.count else { return false }
            room.copyBytes(from: bytes)
            return true
        }
        guard fits else { throw Errno.fileNameTooLong }
        return (address, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
}
