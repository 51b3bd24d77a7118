// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import Support
import SystemPackage
import Testing

/// What libblkid recognises, and where.
@Suite("Signatures")
struct SignatureTests {
    @Test("an empty disk has none")
    func empty() throws {
        #expect(try signatures { _ in }.isEmpty)
    }

    @Test("an ext2 superblock is recognised with its identity and its magic's place")
    func ext2() throws {
        let found = try signatures { putExt2(&$0, at: 0) }
        #expect(found.count == 1)
        #expect(found.first?.kind == .superblock)
        #expect(found.first?.type == "ext2")
        #expect(found.first?.uuid == "01020304-0506-0708-090a-0b0c0d0e0f10")
        #expect(found.first?.label == "data")
        // The magic is at 56 of the superblock, which is at 1024 of the disk.
        #expect(found.first?.magic == 1080..<1082)
    }

    @Test("swap and a file system under it are both found, one after the other")
    func two() throws {
        let found = try signatures { bytes in
            putExt2(&bytes, at: 0)
            bytes.replaceSubrange(510..<512, with: [0x55, 0xaa])
            // One partition, type 0x83, from sector 8, 64 sectors.
            bytes.replaceSubrange(
                446..<462, with: [0, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 64, 0, 0, 0])
        }
        #expect(found.map(\.type).contains("ext2"))
        #expect(found.contains { $0.kind == .partitionTable && $0.type == "dos" })
    }

    @Test("looking changes nothing")
    func readOnly() throws {
        let directory = try TemporaryDirectory()
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        putExt2(&bytes, at: 0)
        try directory.write(bytes, to: "/disk")
        let file = try OwnedDescriptor(path: directory.root.resolve("/disk"))
        _ = try Signature.all(on: file.raw)
        #expect(try directory.root.bytes("/disk") == bytes)
    }

    private func signatures(_ fill: (inout [UInt8]) -> Void) throws -> [Signature] {
        let directory = try TemporaryDirectory()
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        fill(&bytes)
        try directory.write(bytes, to: "/disk")
        let file = try OwnedDescriptor(path: directory.root.resolve("/disk"))
        return try Signature.all(on: file.raw)
    }

    /// The few fields by which an ext2 superblock is recognised
    /// (fs/ext2/ext2.h), for a disk of 1 MiB with 1 KiB blocks.
    private func putExt2(_ bytes: inout [UInt8], at start: Int) {
        let superblock = start + 1024
        bytes[superblock] = 128  // s_inodes_count
        bytes[superblock + 5] = 4  // s_blocks_count: 1024
        bytes[superblock + 20] = 1  // s_first_data_block
        bytes[superblock + 33] = 32  // s_blocks_per_group: 8192
        bytes[superblock + 40] = 128  // s_inodes_per_group
        bytes.replaceSubrange(superblock + 56..<superblock + 58, with: [0x53, 0xef])
        bytes[superblock + 76] = 1  // s_rev_level
        bytes.replaceSubrange(superblock + 104..<superblock + 120, with: 1...16)
        bytes.replaceSubrange(superblock + 120..<superblock + 124, with: Array("data".utf8))
    }
}
