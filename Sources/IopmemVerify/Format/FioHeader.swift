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

        /// Bytes of the header proper; the data's digest follows it.
        public var size: Int { self == .l0 ? 40 : 48 }
        /// Where the header's own checksum is; it covers the bytes before it.
        var checksumOffset: Int { size - 4 }
        /// The bytes that say when and by whom the block was written. Nothing
        /// checks them but the header's checksum.
        var provenance: Range<Int> { 24..<(self == .l0 ? 36 : 44) }
    }

    static let magic: UInt16 = 0xacca
    /// So many bytes at the start of a block are no data, whoever wrote it.
    static let maximumDataOffset = Layout.l1.size + VerifyMethod.maximumDigestSize
    private static let l1Version: UInt8 = 0x81

    /// Which layout it has, or gets.
    public var layout: Layout
    /// What says whether the data are right.
    public var method: VerifyMethod = .crc32c
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
    /// Where the block begins in the I/O that wrote it, in bytes: with `verify_interval` an I/O has
    /// several blocks. Not on the device.
    public var position: UInt64 = 0
    /// What fills the block; nil for what is made from the seed. Not on the device.
    public var pattern: FillPattern?
    /// Whose digest is written; what is read may be of any. Not on the device.
    var release = FioRelease.v3_3

    /// Where the data begin that the digest covers.
    var dataOffset: Int { method.hasHeader ? layout.size + method.digestSize : 0 }
    /// The seed of this block's data: those of an I/O go on from block to block.
    var payloadSeed: UInt64 { Payload.advance(seed, by: position) }

    /// What is wrong with bytes that should be a header.
    enum Damage: Error, Equatable {
        case magic
        /// A header, intact as far as one can tell, of another verification.
        case verifyType(UInt8)
        case checksum
    }

    /// What the first four bytes say: the layout, and the verify type, known or not.
    private static func marks(of block: UnsafeRawBufferPointer) -> (Layout, UInt8)? {
        guard block.loadUnaligned(as: UInt16.self) == magic else { return nil }
        // L0 has a 16-bit verify type at 2, L1 its version there and the type at 3.
        if block[2] == l1Version { return (.l1, block[3]) }
        return block[3] == 0 ? (.l0, block[2]) : nil
    }

    /// Bytes of what seems to be a header with its digest, whose checksum nobody has looked at.
    static func kind(of block: UnsafeRawBufferPointer) -> (method: VerifyMethod, size: Int)? {
        guard let (layout, type) = marks(of: block), let method = VerifyMethod(number: type) else {
            return nil
        }
        return (method, layout.size + method.digestSize)
    }

    /// Reads a header and checks it against itself.
    init(_ block: UnsafeRawBufferPointer) throws(Damage) {
        guard block.count >= Self.maximumDataOffset, let (layout, type) = Self.marks(of: block)
        else { throw .magic }
        let covered = UnsafeRawBufferPointer(rebasing: block[..<layout.checksumOffset])
        let stored = block.loadUnaligned(
            fromByteOffset: layout.checksumOffset, as: UInt32.self)
        guard CRC32C.checksum(covered) == stored else { throw .checksum }
        guard let method = VerifyMethod(number: type) else { throw .verifyType(type) }
        self.layout = layout
        self.method = method
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
        layout: Layout = .l0, method: VerifyMethod = .crc32c, length: UInt32, seed: UInt64,
        offset: UInt64, seconds: UInt32 = 0, nanoseconds: UInt32 = 0, thread: UInt16 = 1,
        number: UInt64 = 0, pattern: FillPattern? = nil
    ) {
        self.layout = layout
        self.method = method
        self.pattern = pattern
        self.length = length
        self.seed = seed
        self.offset = offset
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.thread = thread
        self.number = number
    }

    /// The header of one of the blocks of an I/O, of which this would be the header if it were one
    /// block.
    func block(_ index: Int, length: Int) -> FioHeader {
        var header = self
        header.position = position + UInt64(index) * UInt64(length)
        header.offset = offset + UInt64(index) * UInt64(length)
        header.length = UInt32(length)
        return header
    }

    /// Fills a block: payload, header, digest.
    ///
    /// - Parameter block: of `length` bytes.
    func writeBlock(_ block: UnsafeMutableRawBufferPointer) {
        if let pattern {
            pattern.fill(block, position: position, ioOffset: offset - position)
        } else {
            Payload.fill(block, seed: payloadSeed)
        }
        if method.hasHeader { write(over: block) }
    }

    /// Puts the header and the digest over the start of a filled block.
    private func write(over block: UnsafeMutableRawBufferPointer) {
        block.storeBytes(of: Self.magic, as: UInt16.self)
        block[2] = layout == .l1 ? Self.l1Version : method.number ?? 0
        block[3] = layout == .l1 ? method.number ?? 0 : 0
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
        method.digest(
            of: UnsafeRawBufferPointer(rebasing: block[dataOffset...]),
            into: UnsafeMutableRawBufferPointer(rebasing: block[layout.size..<dataOffset]),
            as: release)
    }

    /// Whether the block's data have the digest that stands behind the header.
    func matchesPayload(
        of block: UnsafeRawBufferPointer, as release: FioRelease = .v3_39
    ) -> Bool {
        method.matches(
            UnsafeRawBufferPointer(rebasing: block[dataOffset...]),
            digest: UnsafeRawBufferPointer(rebasing: block[layout.size..<dataOffset]),
            as: release)
    }
}
