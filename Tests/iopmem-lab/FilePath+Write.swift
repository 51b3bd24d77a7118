// SPDX-License-Identifier: GPL-2.0

import SystemPackage

extension FilePath {
    /// Replaces what is in the file.
    func write(_ text: String) throws {
        let file = try FileDescriptor.open(
            self, .writeOnly, options: [.create, .truncate],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }
}
