// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemVerify

/// The format on disk, held against numbers that fio itself accepted.
@Suite("fio's block format")
struct FioFormatTests {
    @Test("crc32c has fio's value for the usual check string, by both implementations")
    func checkString() {
        let digits = Array("123456789".utf8)
        #expect(digits.withUnsafeBytes { CRC32C.checksum($0) } == 0x1cf9_6d7c)
        #expect(digits.withUnsafeBytes { CRC32C.portableChecksum($0) } == 0x1cf9_6d7c)
    }

    @Test("the portable checksum equals the processor's at every length and alignment")
    func implementationsAgree() {
        let bytes = (0..<12_000).map { UInt8(truncatingIfNeeded: $0 * 37 ^ $0 >> 3) }
        bytes.withUnsafeBytes { all in
            for start in 0..<9 {
                // Streams of 128 and of 1024 bytes are computed three at a time.
                for end in Array(start..<200) + [383, 384, 385, 400, 768, 3071, 3072, 3073, 3456]
                    + [3500, 4095, 4096, 6144, 9215, 9984, 12_000]
                {
                    let part = UnsafeRawBufferPointer(rebasing: all[start..<end])
                    #expect(CRC32C.checksum(part) == CRC32C.portableChecksum(part))
                }
            }
        }
    }

    @Test(
        "digests of the usual check string are the published ones, as fio stores them",
        arguments: [
            (.md5, "25f9e794323b453885f5181f1b624d0b"),
            // f7c3bc1d 808e0473 2adf6799 65ccc34c a7ae3441, each word turned round.
            (.sha1, "1dbcc3f773048e809967df2a4cc3cc654134aea7"),
            (
                .sha512,
                "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
                    + "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85"
            ),
        ] as [(VerifyMethod, String)])
    func digests(method: VerifyMethod, expected: String) {
        let digest = Self.digest(method, Array("123456789".utf8))
        let digits = digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(digits.hasPrefix(expected))
        #expect(digest.count == method.digestSize)
    }

    @Test("crc32 and crc64 are what their polynomials say, at every length")
    func polynomials() {
        let bytes = (0..<70).map { UInt8(truncatingIfNeeded: $0 * 41 ^ $0 >> 2) }
        for count in bytes.indices {
            var state: UInt32 = 0
            var wide: UInt64 = 0
            for byte in bytes[..<count] {
                state ^= UInt32(byte) << 24
                wide ^= UInt64(byte)
                for _ in 0..<8 {
                    state = state << 1 ^ (state >> 31 == 1 ? 0x04c1_1db7 : 0)
                    wide = wide >> 1 ^ (wide & 1 == 1 ? 0x95ac_9329_ac4b_c9b5 : 0)
                }
            }
            let data = Array(bytes[..<count])
            #expect(Self.digest(.crc32, data) == withUnsafeBytes(of: state) { Array($0) })
            #expect(Self.digest(.crc64, data) == withUnsafeBytes(of: wide) { Array($0) })
        }
    }

    private static func digest(_ method: VerifyMethod, _ data: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: method.digestSize)
        // A buffer of its own, so that no data still has an address.
        (data + [0]).withUnsafeBytes { data in
            let data = UnsafeRawBufferPointer(rebasing: data.dropLast())
            digest.withUnsafeMutableBytes { method.digest(of: data, into: $0) }
        }
        return digest
    }

    @Test("seeds are fio's for the default randseed")
    func seeds() {
        var seeds = SeedSequence(randseed: Workload.defaultRandseed, thread: 1)
        #expect(seeds.next() == 0xa4_cc01_c509_543c)
        #expect(seeds.next() == 0x88bb_0a8c_f6db_562e)
    }

    @Test(
        "blocks equal the vectors that fio accepted",
        arguments: [
            (
                FioHeader.Layout.l0, 0, 0xa4_cc01_c509_543c,
                "caac0500001000003c5409c501cca40000000000000000000000000000000000010000004dc6973af4a2efa3"
            ),
            (
                .l0, 1, 0x88bb_0a8c_f6db_562e,
                "caac0500001000002e56dbf68c0abb8800100000000000000000000000000000010001005ca269820b5c4cb7"
            ),
            (
                .l1, 0, 0xa4_cc01_c509_543c,
                "caac8105001000003c5409c501cca40000000000000000000000000000000000000000000000000001000000944c9b952438089a"
            ),
            (
                .l1, 1, 0x88bb_0a8c_f6db_562e,
                "caac8105001000002e56dbf68c0abb8800100000000000000000000000000000010000000000000001000000e8993e211ab68a36"
            ),
        ] as [(FioHeader.Layout, UInt64, UInt64, String)])
    func vectors(layout: FioHeader.Layout, number: UInt64, seed: UInt64, expected: String) {
        let header = FioHeader(
            layout: layout, length: 4096, seed: seed, offset: number * 4096, number: number)
        let block = Block(header)
        #expect(block.hex(0..<header.dataOffset) == expected)
        #expect(block.isRight(.place(offset: number * 4096, length: 4096)))
    }

    @Test("a header that was written is read back whole", arguments: FioHeader.Layout.allCases)
    func roundTrip(layout: FioHeader.Layout) throws {
        let header = FioHeader(
            layout: layout, length: 512, seed: 0x0123_4567_89ab_cdef, offset: 1 << 40,
            seconds: 7, nanoseconds: 999_999_999, thread: 3, number: 41)
        let block = Block(header)
        #expect(try block.bytes.withUnsafeBytes { try FioHeader($0) } == header)
    }

    @Test("the number of an L0 block wraps at 16 bits")
    func numberWraps() throws {
        let block = Block(FioHeader(length: 512, seed: 1, offset: 0, number: 65_537))
        #expect(try block.bytes.withUnsafeBytes { try FioHeader($0) }.number == 1)
    }

    @Test("the payload tells its seed from any group of words")
    func recoversSeed() {
        let block = Block(FioHeader(length: 4096, seed: 0xfeed_beef_1234_5678, offset: 0))
        block.bytes.withUnsafeBytes { bytes in
            for start in stride(from: 64, to: 4096, by: 32) {
                #expect(
                    Payload.recoverSeed(from: bytes, in: start..<(start + 32))
                        == 0xfeed_beef_1234_5678)
            }
            #expect(Payload.recoverSeed(from: bytes, in: 100..<127) == nil)
        }
    }

    @Test("another verification's header is told from a broken one")
    func otherVerifyType() {
        var block = Block(FioHeader(length: 512, seed: 5, offset: 0))
        // sha3-224, which this tool does not have.
        block.bytes[2] = 11
        #expect(throws: FioHeader.Damage.checksum) {
            try block.bytes.withUnsafeBytes { _ = try FioHeader($0) }
        }
        block.bytes.withUnsafeMutableBytes { bytes in
            let covered = UnsafeRawBufferPointer(rebasing: bytes[..<36])
            bytes.storeBytes(of: CRC32C.checksum(covered), toByteOffset: 36, as: UInt32.self)
        }
        #expect(throws: FioHeader.Damage.verifyType(11)) {
            try block.bytes.withUnsafeBytes { _ = try FioHeader($0) }
        }
    }
}

/// A block in memory that tests may damage.
struct Block {
    var bytes: [UInt8]

    init(_ header: FioHeader) {
        bytes = [UInt8](repeating: 0, count: Int(header.length))
        bytes.withUnsafeMutableBytes { header.writeBlock($0) }
    }

    func hex(_ range: Range<Int>) -> String {
        bytes[range].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    func isRight(_ expected: BlockCheck.Expectation) -> Bool {
        bytes.withUnsafeBytes { BlockCheck.isRight($0, expected) }
    }

    func diagnose(_ expected: BlockCheck.Expectation) -> [Mismatch] {
        bytes.withUnsafeBytes { BlockCheck.diagnose($0, expected) }
    }
}
