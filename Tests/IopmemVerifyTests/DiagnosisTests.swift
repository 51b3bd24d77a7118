// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemVerify

/// A gallery of damage: each kind is found where it is and called by its name,
/// with what the run knew about the block and without.
@Suite("Diagnosis of wrong blocks")
struct DiagnosisTests {
    static let header = FioHeader(
        length: 4096, seed: 0xa4_cc01_c509_543c, offset: 8192, seconds: 5, number: 2)
    static let older = FioHeader(
        length: 4096, seed: 0x88bb_0a8c_f6db_562e, offset: 8192, seconds: 4, number: 2)
    static let known = BlockCheck.Expectation.header(header)
    static let unknown = BlockCheck.Expectation.place(offset: 8192, length: 4096)
    static let both = [known, unknown]

    @Test("a sound block is right", arguments: both)
    func sound(expected: BlockCheck.Expectation) {
        #expect(Block(Self.header).isRight(expected))
    }

    @Test("one flipped bit is found at every byte of the block", arguments: both)
    func bitflip(expected: BlockCheck.Expectation) {
        let sound = Block(Self.header)
        for index in Array(0..<80) + [511, 512, 2048, 4095] {
            // In L0's provenance a flip is repaired from the header's checksum.
            var block = sound
            block.bytes[index] ^= 1 << (index % 8)
            #expect(!block.isRight(expected))
            let found = block.diagnose(expected)
            #expect(found.map(\.kind) == [.bitflip], "byte \(index)")
            #expect(found.map(\.offset) == [8192 + UInt64(index)], "byte \(index)")
            #expect(found.map(\.length) == [1], "byte \(index)")
            #expect(found.first?.expected == sound.hex(index..<(index + 1)))
            #expect(found.first?.got == block.hex(index..<(index + 1)))
        }
    }

    @Test("zeros are found, in part and in whole", arguments: both)
    func zeros(expected: BlockCheck.Expectation) {
        for range in [64..<128, 0..<512, 3584..<4096, 0..<4096] {
            var block = Block(Self.header)
            for index in range { block.bytes[index] = 0 }
            let found = block.diagnose(expected)
            #expect(found.map(\.kind) == [.zeros], "\(range)")
            #expect(found.first?.covers(range, of: block, from: 8192) == true, "\(range)")
        }
    }

    @Test("ones are found, in part and in whole", arguments: both)
    func ones(expected: BlockCheck.Expectation) {
        for range in [1024..<1536, 4032..<4096, 0..<4096] {
            var block = Block(Self.header)
            for index in range { block.bytes[index] = 0xff }
            let found = block.diagnose(expected)
            #expect(found.map(\.kind) == [.ones], "\(range)")
            #expect(found.first?.covers(range, of: block, from: 8192) == true, "\(range)")
        }
    }

    @Test("a block of another offset is misdirected, and says whose it is", arguments: both)
    func misdirected(expected: BlockCheck.Expectation) {
        var other = Self.header
        other.offset = 12288
        let found = Block(other).diagnose(expected)
        #expect(found.map(\.kind) == [.misdirected])
        #expect(found.first?.offset == 8192)
        #expect(found.first?.length == 4096)
        #expect(found.first?.got == "the block of offset 12288")
    }

    @Test("an older block of the same place is stale where the newer one is known")
    func stale() {
        let block = Block(Self.older)
        #expect(!block.isRight(Self.known))
        #expect(block.diagnose(Self.known).map(\.kind) == [.stale])
        // Without a history, a sound block is right: fio says so, too.
        #expect(block.isRight(Self.unknown))
    }

    @Test(
        "a write that stopped is torn, at any 64-byte boundary", arguments: [64, 512, 1024, 4032])
    func torn(boundary: Int) {
        var newFirst = Block(Self.header)
        newFirst.bytes.replaceSubrange(boundary..., with: Block(Self.older).bytes[boundary...])
        for expected in Self.both {
            let found = newFirst.diagnose(expected)
            #expect(found.map(\.kind) == [.torn], "new, then old at \(boundary)")
            #expect(found.first?.offset == 8192 + UInt64(boundary))
        }
        var oldFirst = Block(Self.older)
        oldFirst.bytes.replaceSubrange(boundary..., with: Block(Self.header).bytes[boundary...])
        for expected in Self.both {
            let found = oldFirst.diagnose(expected)
            #expect(found.map(\.kind) == [.torn], "old, then new at \(boundary)")
        }
    }

    @Test(
        "a header before an older payload, whose checksum fits, is torn",
        arguments: FioHeader.Layout.allCases)
    func headerAlone(layout: FioHeader.Layout) {
        var header = Self.header
        header.layout = layout
        var older = Self.older
        older.layout = layout
        var block = Block(header)
        block.bytes.replaceSubrange(layout.size..., with: Block(older).bytes[layout.size...])
        let expected = BlockCheck.Expectation.header(header)
        #expect(!block.isRight(expected))
        #expect(block.diagnose(expected).map(\.kind) == [.torn])
    }

    @Test("a lost sector within a block is torn")
    func tornInTheMiddle() {
        var block = Block(Self.header)
        block.bytes.replaceSubrange(512..<1024, with: Block(Self.older).bytes[512..<1024])
        let found = block.diagnose(Self.unknown)
        #expect(found.map(\.kind) == [.torn])
        #expect(found.first?.covers(512..<1024, of: block, from: 8192) == true)
    }

    @Test("anything else is garbage, at its exact bytes", arguments: both)
    func garbage(expected: BlockCheck.Expectation) {
        var block = Block(Self.header)
        for index in 700..<716 { block.bytes[index] ^= 0x5a }
        let found = block.diagnose(expected)
        #expect(found.map(\.kind) == [.garbage])
        #expect(found.first?.offset == 8192 + 700)
        #expect(found.first?.length == 16)
        #expect(found.first?.got == block.hex(700..<716))
    }

    @Test("bytes that never were a block are garbage as a whole")
    func foreign() {
        var block = Block(Self.header)
        for index in block.bytes.indices { block.bytes[index] = UInt8(truncatingIfNeeded: index) }
        let found = block.diagnose(Self.unknown)
        #expect(found.map(\.kind) == [.garbage])
        #expect(found.first?.length == 4096)
    }

    @Test("separate wrong places are told apart, at most eight of them")
    func severalRuns() {
        var block = Block(Self.header)
        for index in 0..<20 { block.bytes[256 + 128 * index] ^= 0x33 }
        let found = block.diagnose(Self.known)
        #expect(found.count == 8)
        #expect(found.first?.offset == 8192 + 256)
        let end: UInt64 = 8192 + 256 + 128 * 19 + 1
        #expect(found.last.map { $0.offset + $0.length } == end)
    }

    @Test("a block of another length is not right")
    func otherLength() {
        let block = Block(FioHeader(length: 512, seed: 9, offset: 8192))
        #expect(!block.isRight(.place(offset: 8192, length: 4096)))
        #expect(block.isRight(.place(offset: 8192, length: 512)))
    }
}

extension Mismatch {
    /// Whether it spans the damaged range, but for bytes at its edges that were
    /// right by chance.
    func covers(_ range: Range<Int>, of block: Block, from start: UInt64) -> Bool {
        let first = Int(offset - start)
        let last = first + Int(length)
        return range.lowerBound <= first && first < range.lowerBound + 8
            && last <= range.upperBound && range.upperBound - 8 < last
    }
}
