// SPDX-License-Identifier: GPL-2.0
import Glibc
import IopmemSystem
import SystemPackage
import Testing

/// Compares text with what is written down in Snapshots/NAME.txt.
///
/// With IOPMEM_RECORD_SNAPSHOTS in the environment it writes the text down
/// instead, and fails, so that nobody mistakes recording for a test.
func expectSnapshot(
    _ text: String, named name: String, sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let path = #filePath.dropLast("Snapshot.swift".count) + "Snapshots/\(name).txt"
    if getenv("IOPMEM_RECORD_SNAPSHOTS") != nil {
        let descriptor = open(String(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        try #require(descriptor >= 0)
        try OwnedDescriptor(adopting: FileDescriptor(rawValue: descriptor))
            .writeAll(Array(text.utf8))
        Issue.record("recorded \(name)", sourceLocation: sourceLocation)
        return
    }
    let expected = String(decoding: try SystemRoot.machine.bytes(String(path)), as: UTF8.self)
    #expect(text == expected, sourceLocation: sourceLocation)
}
