// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What in a mounted file system keeps DAX from it: in its superblock, or in how it was mounted.
struct DAXObstacles {
    /// Sentences like "its blocks have 1024 bytes"; empty where nothing was found.
    let reasons: [String]
    /// What makes a file system without them; nil where mounting it otherwise is enough.
    let remedy: String?

    /// - Parameter isPartition: Whether it is on a partition of a namespace.
    init(_ mount: MountTable.Mount, on node: String, isPartition: Bool, root: SystemRoot) {
        var reasons: [String] = []
        var mustBeMadeAnew = false
        func add(_ reason: String, when holds: Bool, makeAnew: Bool = true) {
            guard holds else { return }
            reasons.append(reason)
            mustBeMadeAnew = mustBeMadeAnew || makeAnew
        }
        add(
            "it is mounted with data=journal, which takes data through the page cache",
            when: mount.options.contains("data=journal"), makeAnew: false)
        let superblock = (try? root.bytes(node, upTo: 4096)) ?? []
        switch mount.type {
        case "ext4":
            guard let facts = Ext4Facts(superblock) else { break }
            add("its blocks have \(facts.blockSize) bytes", when: facts.blockSize != 4096)
            add("it may keep files' data in inodes (inline_data)", when: facts.hasInlineData)
        case "xfs":
            guard let facts = XFSFacts(superblock) else { break }
            add("its blocks have \(facts.blockSize) bytes", when: facts.blockSize != 4096)
            // fs/xfs/xfs_super.c: "DAX and reflink cannot work with multi-partitions!"
            add(
                "it can share blocks between files (reflink), which on a partition the kernel"
                    + " refuses with DAX",
                when: facts.hasReflink && isPartition)
        default: break
        }
        self.reasons = reasons
        let make =
            mount.type == "xfs"
            ? "mkfs.xfs -b size=4096 -m reflink=0" : "mkfs.ext4 -b 4096 -O ^inline_data"
        remedy = mustBeMadeAnew ? "save the data and make it anew: \(make) \(node)" : nil
    }
}

/// What an ext4 superblock says; offsets from Documentation/filesystems/ext4/super.rst.
private struct Ext4Facts {
    let blockSize: UInt64
    let hasInlineData: Bool

    init?(_ bytes: [UInt8]) {
        let start = 1024
        guard bytes.count >= start + 0x68,
            bytes[start + 0x38] == 0x53, bytes[start + 0x39] == 0xef
        else { return nil }
        let shift = bytes.littleEndian(at: start + 0x18)
        // 64 KiB is the largest that there is.
        guard shift <= 6 else { return nil }
        blockSize = 1024 << UInt64(shift)
        hasInlineData = bytes.littleEndian(at: start + 0x60) & 0x8000 != 0
    }
}

/// What an xfs superblock says; offsets from fs/xfs/libxfs/xfs_format.h (struct xfs_dsb).
private struct XFSFacts {
    let blockSize: UInt64
    let hasReflink: Bool

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 216, bytes.starts(with: Array("XFSB".utf8)) else { return nil }
        blockSize = UInt64(bytes.littleEndian(at: 4).byteSwapped)
        // Version 5 alone has features of this kind.
        let isVersion5 = bytes[101] & 0xf == 5
        hasReflink = isVersion5 && bytes.littleEndian(at: 212).byteSwapped & 4 != 0
    }
}

extension [UInt8] {
    fileprivate func littleEndian(at offset: Int) -> UInt32 {
        self[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
