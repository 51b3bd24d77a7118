// SPDX-License-Identifier: GPL-2.0
import CLibBlkid
import Glibc
public import SystemPackage

/// What libblkid recognised on a block device: a file system, a member of an
/// array, a partition table.
public struct Signature: Equatable, Sendable {
    /// What kind of thing says so.
    public enum Kind: Sendable, Equatable {
        /// A file system, swap, a RAID or LVM member, an encrypted container.
        case superblock
        /// A table of partitions.
        case partitionTable
    }

    /// Which of the two.
    public var kind: Kind
    /// libblkid's word: `ext4`, `xfs`, `swap`, `gpt`.
    public var type: String
    /// Its own identity, if it has one.
    public var uuid: String?
    /// The user's label, if it has one.
    public var label: String?
    /// The bytes by which it is recognised; nil where libblkid does not say.
    public var magic: Range<UInt64>?

    /// That signature.
    public init(
        kind: Kind, type: String, uuid: String? = nil, label: String? = nil,
        magic: Range<UInt64>? = nil
    ) {
        self.kind = kind
        self.type = type
        self.uuid = uuid
        self.label = label
        self.magic = magic
    }

    /// Everything on the open block device or file, one after the other, as if
    /// each were wiped before the next is looked for. Nothing is written.
    public static func all(on node: FileDescriptor) throws(Errno) -> [Signature] {
        guard let probe = blkid_new_probe() else { throw Errno.noMemory }
        defer { blkid_free_probe(probe) }
        guard blkid_probe_set_device(probe, node.rawValue, 0, 0) == 0 else {
            throw Errno.ioError
        }
        blkid_probe_enable_superblocks(probe, 1)
        blkid_probe_set_superblocks_flags(
            probe,
            BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_MAGIC)
        blkid_probe_enable_partitions(probe, 1)
        blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC)

        var found: [Signature] = []
        // The bound is far beyond what a disk can carry; it is there in case
        // that hiding a signature does not make it go.
        while found.count < 256, blkid_do_probe(probe) == 0 {
            guard let signature = current(probe) else { continue }
            if let last = found.last, last == signature { break }
            found.append(signature)
            // "Dry run": only hides the bytes in libblkid's own buffers, and
            // steps back, so that a backup of the same kind is found next.
            guard blkid_do_wipe(probe, 1) == 0 else { break }
        }
        return found
    }

    private static func current(_ probe: blkid_probe) -> Signature? {
        if let type = value("TYPE", probe) {
            return Signature(
                kind: .superblock, type: type, uuid: value("UUID", probe),
                label: value("LABEL", probe),
                magic: magic(probe, offset: "SBMAGIC_OFFSET", bytes: "SBMAGIC"))
        }
        guard let type = value("PTTYPE", probe) else { return nil }
        return Signature(
            kind: .partitionTable, type: type, uuid: value("PTUUID", probe),
            magic: magic(probe, offset: "PTMAGIC_OFFSET", bytes: "PTMAGIC"))
    }

    private static func value(_ name: String, _ probe: blkid_probe) -> String? {
        var data: UnsafePointer<CChar>?
        guard blkid_probe_lookup_value(probe, name, &data, nil) == 0, let data else { return nil }
        return String(cString: data)
    }

    private static func magic(
        _ probe: blkid_probe, offset: String, bytes: String
    ) -> Range<UInt64>? {
        var length = 0
        guard let start = value(offset, probe).flatMap({ UInt64($0) }),
            blkid_probe_lookup_value(probe, bytes, nil, &length) == 0, length > 0
        else { return nil }
        return start..<(start + UInt64(length))
    }
}
