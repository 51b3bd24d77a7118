// SPDX-License-Identifier: GPL-2.0

/// Where things are in a label area; docs/label-format.md is the specification.
///
/// All numbers are little-endian. Index blocks and slots are 4 KiB apart, so that
/// no write of any size up to that can be torn across two of them.
public enum LabelFormat {
    /// Bytes at the start of a region that belong to labels: the alignment of
    /// namespaces, so that no namespace can share them.
    public static let areaSize = 2 << 20
    /// The version that this module reads and writes.
    public static let version: UInt32 = 1
    /// How many slots there are.
    public static let slotCount = 384
    /// How many labels fit: a label is replaced by writing a free slot, so one
    /// always stays free.
    public static let labelLimit = slotCount - 1
    /// The longest name of a namespace, in bytes.
    public static let maxNameLength = 63
    /// Offset and size of a namespace are multiples of this many bytes.
    public static let align: UInt64 = 2 << 20
    /// What no counter reaches: the sequence number of an index, the creation
    /// counter of a label and that of the label after it.
    static let counterLimit: UInt64 = 1 << 63
    /// Bytes of a slot that are in use.
    public static let labelSize = 256

    static let blockSize = 4096
    /// The first block and the last one: what overwrites the head of the memory
    /// leaves the other index.
    static let indexOffsets = [0, areaSize - blockSize]
    static let firstSlot = 0x40000
    static let lineSize = 64

    /// "IOPMEMLA" and "IOPMLABL" as bytes in that order.
    static let areaMagic: UInt64 = 0x414c_4d45_4d50_4f49
    static let labelMagic: UInt64 = 0x4c42_414c_4d50_4f49
    /// With so few wrong bits of 64 it is our magic, damaged: in random data
    /// that is seen once in 10^13 blocks.
    static let toleratedMagicBits = 4

    /// Where a slot begins.
    public static func offset(ofSlot slot: Int) -> Int { firstSlot + slot * blockSize }

    /// Offsets within an index block.
    enum Index {
        static let magic = 0
        static let version = 8
        static let number = 12
        static let compatible = 16
        static let incompatible = 20
        static let areaSize = 24
        static let uuid = 32
        static let reserved = 48
        static let headerChecksum = 56
        static let sequence = 64
        static let nextCreation = 72
        static let slotCount = 80
        static let checksum = 120
        static let device = 128
        static let bitmap = 192
        static let entries = 1024
    }

    /// Offsets within a label.
    enum Label {
        static let magic = 0
        static let slot = 8
        static let flags = 12
        static let uuid = 16
        static let areaUUID = 32
        static let creation = 48
        static let checksum = 56
        static let offset = 64
        static let size = 72
        static let mode = 80
        static let map = 84
        static let media = 88
        static let number = 92
        static let name = 128
    }
}
