// SPDX-License-Identifier: GPL-2.0

/// The header that fio puts before each block which it will verify.
///
/// All fields are little endian, as on every machine that this runs on.
public struct FioHeader: Sendable, Equatable {
    /// The two layouts on disk.
    public enum Layout: String, Sendable, CaseIterable {
        /// fio 3.3 to 3.40.
        case l0 = "L0"
        /// fio 3.41 and later.
        case l1 = "L1"

        /// Bytes of the header proper; the data's checksum follows it.
        public var size: Int { self == .l0 ? 40 : 48 }
        /// Where the payload that the checksum covers begins.
        public var payloadOffset: Int { size + 4 }
        /// Where the header's own checksum is; it covers the bytes before it.
        var checksumOffset: Int { size - 4 }
        /// The bytes that say when and by whom the block was written. Nothing
        /// checks them but the header's checksum.
        var provenance: Range<Int> { 24..<(self == .l0 ? 36 : 44) }
    }

    static let magic: UInt16 = 0xacca
    static let crc32cType: UInt8 = 5
    private static let l1Version: UInt8 = 0x81

    /// Which layout it has, or gets.
    public var layout: Layout
    /// Bytes of the block, header included.
    public var length: UInt32
    /// From which the payload can be made again.
    public var seed: UInt64
    /// Where the block belongs, in bytes from the start of the file or device.
    public var offset: UInt64
    /// When it was written; no reader checks it.
    public var seconds: UInt32 = 0
    /// When it was written, the rest in nanoseconds.
    public var nanoseconds: UInt32 = 0
    /// The writing job's number, from 1.
    public var thread: UInt16 = 1
    /// How many blocks the job had written before; L0 keeps 16 bits.
    public var number: UInt64 = 0

    /// What is wrong with bytes that should be a header.
    enum Damage: Error, Equatable {
        case magic
        /// A header, intact as far as one can tell, of another verification.
        case verifyType(UInt8)
        case checksum
    }

    /// Reads a header and checks it against itself.
    init(_ block: UnsafeRawBufferPointer) throws(Damage) {
        guard block.count >= Layout.l1.payloadOffset,
            block.loadUnaligned(as: UInt16.self) == Self.magic
        else { throw .magic }
        // L0 has a 16-bit verify type at 2, L1 its version there and the type at 3.
        let layout: Layout = block[2] == Self.l1Version ? .l1 : .l0
        let type = layout == .l1 ? block[3] : block[2]
        guard layout == .l1 || block[3] == 0 else { throw .magic }
        let covered = UnsafeRawBufferPointer(rebasing: block[..<layout.checksumOffset])
        let stored = block.loadUnaligned(
            fromByteOffset: layout.checksumOffset, as: UInt32.self)
        guard CRC32C.checksum(covered) == stored else { throw .checksum }
        guard type == Self.crc32cType else { throw .verifyType(type) }
        self.layout = layout
        length = block.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        seed = block.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        offset = block.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        seconds = block.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
        nanoseconds = block.loadUnaligned(fromByteOffset: 28, as: UInt32.self)
        switch layout {
        case .l0:
            thread = block.loadUnaligned(fromByteOffset: 32, as: UInt16.self)
            number = UInt64(block.loadUnaligned(fromByteOffset: 34, as: UInt16.self))
        case .l1:
            number = block.loadUnaligned(fromByteOffset: 32, as: UInt64.self)
            thread = block.loadUnaligned(fromByteOffset: 40, as: UInt16.self)
        }
    }

    /// A header for a block that is about to be written.
    public init(
        layout: Layout = .l0, length: UInt32, seed: UInt64, offset: UInt64,
        seconds: UInt32 = 0, nanoseconds: UInt32 = 0, thread: UInt16 = 1, number: UInt64 = 0
    ) {
        self.layout = layout
        self.length = length
        self.seed = seed
        self.offset = offset
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.thread = thread
        self.number = number
    }

    /// Fills a block: payload, header, both checksums.
    ///
    /// - Parameter block: of `length` bytes.
    func writeBlock(_ block: UnsafeMutableRawBufferPointer) {
        Payload.fill(block, seed: seed)
        write(over: block)
    }

    /// Puts the header and both checksums over the start of a filled block.
    func write(over block: UnsafeMutableRawBufferPointer) {
        block.storeBytes(of: Self.magic, as: UInt16.self)
        block[2] = layout == .l1 ? Self.l1Version : Self.crc32cType
        block[3] = layout == .l1 ? Self.crc32cType : 0
        block.storeBytes(of: length, toByteOffset: 4, as: UInt32.self)
        block.storeBytes(of: seed, toByteOffset: 8, as: UInt64.self)
        block.storeBytes(of: offset, toByteOffset: 16, as: UInt64.self)
        block.storeBytes(of: seconds, toByteOffset: 24, as: UInt32.self)
        block.storeBytes(of: nanoseconds, toByteOffset: 28, as: UInt32.self)
        switch layout {
        case .l0:
            block.storeBytes(of: thread, toByteOffset: 32, as: UInt16.self)
            block.storeBytes(
                of: UInt16(truncatingIfNeeded: number), toByteOffset: 34, as: UInt16.self)
        case .l1:
            block.storeBytes(of: number, toByteOffset: 32, as: UInt64.self)
            block.storeBytes(of: thread, toByteOffset: 40, as: UInt16.self)
            block.storeBytes(of: 0, toByteOffset: 42, as: UInt16.self)
        }
        let covered = UnsafeRawBufferPointer(rebasing: block[..<layout.checksumOffset])
        block.storeBytes(
            of: CRC32C.checksum(covered), toByteOffset: layout.checksumOffset, as: UInt32.self)
        block.storeBytes(
            of: Self.payloadChecksum(UnsafeRawBufferPointer(block), layout),
            toByteOffset: layout.size, as: UInt32.self)
    }

    /// Whether the block's payload has the checksum that stands behind the header.
    func matchesPayload(of block: UnsafeRawBufferPointer) -> Bool {
        block.loadUnaligned(fromByteOffset: layout.size, as: UInt32.self)
            == Self.payloadChecksum(block, layout)
    }

    private static func payloadChecksum(
        _ block: UnsafeRawBufferPointer, _ layout: Layout
    ) -> UInt32 {
        CRC32C.checksum(UnsafeRawBufferPointer(rebasing: block[layout.payloadOffset...]))
    }
}
