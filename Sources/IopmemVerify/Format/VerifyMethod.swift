// SPDX-License-Identifier: GPL-2.0
private import CChecksum

/// fio's `verify`: what stands behind a block's header, and says whether the data are right.
public enum VerifyMethod: String, Sendable, CaseIterable {
    case crc32c
    case crc32
    case crc64
    case md5
    case sha1
    case sha256
    case sha512
    case xxhash
    /// No header at all: the block is `verify_pattern`, again and again.
    case pattern

    /// What fio writes into the header for it (verify.h); nil where there is none.
    var number: UInt8? {
        switch self {
        case .md5: 2
        case .crc64: 3
        case .crc32: 4
        case .crc32c: 5
        case .sha256: 9
        case .sha512: 10
        case .xxhash: 15
        case .sha1: 16
        case .pattern: nil
        }
    }

    /// The one with that number; nil for those that this tool does not have.
    init?(number: UInt8) {
        guard let method = Self.allCases.first(where: { $0.number == number }) else { return nil }
        self = method
    }

    /// Whether blocks have headers.
    var hasHeader: Bool { number != nil }

    /// Bytes between the header and the data (verify.h, the structures vhdr_…).
    var digestSize: Int {
        switch self {
        case .crc32c, .crc32, .xxhash: 4
        case .crc64: 8
        case .md5: 16
        case .sha1: 20
        case .sha256: 64
        case .sha512: 128
        case .pattern: 0
        }
    }

    /// The largest of them.
    static let maximumDigestSize = 128

    /// Puts the digest of data as fio has it into `digestSize` bytes.
    ///
    /// - Parameter release: whose; ``FioRelease/isSHA512Finished``.
    func digest(
        of data: UnsafeRawBufferPointer, into digest: UnsafeMutableRawBufferPointer,
        as release: FioRelease = .v3_39
    ) {
        guard let bytes = data.baseAddress, let result = digest.baseAddress else { return }
        let count = data.count
        switch self {
        case .crc32c:
            digest.storeBytes(of: CRC32C.checksum(data), as: UInt32.self)
        case .crc32:
            digest.storeBytes(of: iopmem_crc32_fio(bytes, count), as: UInt32.self)
        case .crc64:
            digest.storeBytes(of: iopmem_crc64_fio(bytes, count), as: UInt64.self)
        case .xxhash:
            digest.storeBytes(of: iopmem_xxhash_fio(bytes, count), as: UInt32.self)
        case .md5: iopmem_md5(bytes, count, result)
        case .sha1: iopmem_sha1_fio(bytes, count, result)
        case .sha256: iopmem_sha256_fio(bytes, count, result)
        case .sha512 where release.isSHA512Finished: iopmem_sha512_fio(bytes, count, result)
        case .sha512: iopmem_sha512_unfinished_fio(bytes, count, result)
        case .pattern: break
        }
    }

    /// Whether the digest of data is what stands in `digestSize` bytes.
    func matches(
        _ data: UnsafeRawBufferPointer, digest: UnsafeRawBufferPointer,
        as release: FioRelease = .v3_39
    ) -> Bool {
        // What most runs ask for does without a second buffer.
        if self == .crc32c {
            return digest.loadUnaligned(as: UInt32.self) == CRC32C.checksum(data)
        }
        return withUnsafeTemporaryAllocation(byteCount: digestSize, alignment: 8) { computed in
            self.digest(of: data, into: computed, as: release)
            return computed.elementsEqual(digest.prefix(digestSize))
        }
    }
}
