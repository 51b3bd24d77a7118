// SPDX-License-Identifier: GPL-2.0

import SystemPackage

extension FilePath {
    /// What is in the file.
    func text() throws -> String {
        let file = try FileDescriptor.open(self, .readOnly)
        return try file.closeAfter {
            var bytes: [UInt8] = []
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 1)
            defer { piece.deallocate() }
            while case let count = try file.read(into: piece), count > 0 {
                bytes.append(contentsOf: piece[..<count])
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Replaces what is in the file.
    func write(_ text: String) throws {
        let file = try FileDescriptor.open(
            self, .writeOnly, options: [.create, .truncate],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }
}
