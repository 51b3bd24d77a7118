// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemLabels

/// Areas that somebody or something has damaged.
@Suite("Damaged labels")
struct CorruptionTests {
    @Test("no flip of bits crashes the reader or changes a label unnoticed", arguments: 0..<8)
    func flips(seed: Int) throws {
        let whole = try Memory.with([label(1), label(2), label(3)])
        let labels = content(try whole.area)
        var random = Generator(state: UInt64(seed))
        let blocks =
            LabelFormat.indexOffsets.map { $0..<$0 + 4096 }
            + (0..<3).map { LabelFormat.offset(ofSlot: $0)..<LabelFormat.offset(ofSlot: $0) + 256 }
        for _ in 0..<150 {
            var memory = whole
            let flips = Int.random(in: 1...12, using: &random)
            for _ in 0..<flips {
                // Often in one block, so that the other one must answer.
                let block = blocks[Int.random(in: 0..<blocks.count, using: &random)]
                let offset = Int.random(in: block, using: &random)
                memory.bytes[offset] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            switch memory.reading {
            case .area(let area):
                // Each label is as it was, or is reported as damaged.
                let left = content(area)
                #expect(left.allSatisfy(labels.contains))
                #expect(left.count + area.damages.count == labels.count)
                #expect(area.objections.isEmpty)
            case .refused(.corrupt): break
            default: Issue.record("an area with \(flips) wrong bits reads as \(memory.reading)")
            }
        }
    }

    @Test("every single wrong bit of an index block leaves all labels readable", arguments: [0, 1])
    func oneIndex(number: Int) throws {
        let whole = try Memory.with([label(1)])
        let labels = content(try whole.area)
        for offset in Array(0..<200) + [1023, 1024, 1031, 2000, 4095] {
            for bit in 0..<8 {
                var memory = whole
                memory.bytes[LabelFormat.indexOffsets[number] + offset] ^= 1 << UInt8(bit)
                let area = try memory.area
                #expect(content(area) == labels)
                guard case .damaged(let sentence) = area.indexFinding else {
                    Issue.record("not noticed: bit \(bit) of byte \(offset)")
                    return
                }
                #expect(sentence.hasPrefix(number == 0 ? "the first" : "the last"))
            }
        }
    }

    @Test("both index blocks bad: refused with what is wrong at which byte")
    func bothIndexes() throws {
        var memory = try Memory.with([label(1)])
        memory.bytes[100] ^= 1
        memory.bytes[LabelFormat.areaSize - 4096] ^= 1
        guard case .refused(let refusal) = memory.reading else {
            Issue.record("read: \(memory.reading)")
            return
        }
        #expect(
            refusal.sentence
                == "the label area is corrupt: the first index block: its checksum is wrong"
                + " (byte 0x78); the last index block: 1 bits of its magic are wrong"
                + " (byte 0x1ff000)")
    }

    @Test("an overwritten head leaves the last index block, and is not overwritten in turn")
    func overwrittenHead() throws {
        var memory = try Memory.with([label(1)])
        for offset in 0..<65536 { memory.bytes[offset] = UInt8(truncatingIfNeeded: offset + 1) }
        let area = try memory.area
        #expect(content(area) == [label(1)])
        #expect(
            area.indexFinding
                == .foreign("the first index block is overwritten by other data from byte 0x0"))
        #expect(throws: LabelChangeError.self) { try area.adding(label(2)) }
        #expect(throws: LabelChangeError.self) { try area.removing(uuid: label(1).uuid) }
    }

    @Test("a newer version is named and refused, even where an older one stands beside it")
    func futureVersion() throws {
        var memory = try Memory.with([label(1)])
        memory.patchHeader(of: 1) { $0.put(UInt32(7), at: LabelFormat.Index.version) }
        #expect(memory.reading == .refused(.future("version 7")))
    }

    @Test("unknown incompatible features are refused, compatible ones are kept")
    func features() throws {
        var refused = try Memory.with([label(1)])
        refused.patchHeader(of: 0) { $0.put(UInt32(0x10), at: LabelFormat.Index.incompatible) }
        #expect(refused.reading == .refused(.future("features 0x10")))

        var accepted = try Memory.with([label(1)])
        for number in [0, 1] {
            accepted.patchHeader(of: number) {
                $0.put(UInt32(0x10), at: LabelFormat.Index.compatible)
                $0[900] = 0x5a
            }
        }
        accepted.write(try accepted.area.adding(label(2)))
        #expect(content(try accepted.area) == [label(1), label(2)])
        for start in LabelFormat.indexOffsets {
            #expect(accepted.bytes[start + LabelFormat.Index.compatible] == 0x10)
            #expect(accepted.bytes[start + 900] == 0x5a)
        }
    }

    @Test("a copy of one index block in the other's place is noticed")
    func misplaced() throws {
        var memory = try Memory.with([label(1)])
        memory.bytes.replaceSubrange(
            LabelFormat.indexOffsets[1]..<LabelFormat.areaSize, with: memory.bytes[..<4096])
        guard case .damaged(let sentence) = try memory.area.indexFinding else {
            Issue.record("not noticed")
            return
        }
        #expect(sentence.contains("belongs in the other place"))
    }

    @Test("blocks of one sequence number that differ are refused")
    func contradiction() throws {
        var memory = try Memory.with([label(1)])
        let other = try Memory.with([label(2)])
        memory.bytes.replaceSubrange(..<4096, with: other.bytes[..<4096])
        guard case .refused(.corrupt(let findings)) = memory.reading else {
            Issue.record("read: \(memory.reading)")
            return
        }
        #expect(findings.last == "they say different things of the labels")
    }

    @Test("counters that have run out are refused")
    func counters() throws {
        var memory = try Memory.with([label(1)])
        for number in [0, 1] {
            memory.patchHeader(of: number) {
                $0.put(UInt64.max, at: LabelFormat.Index.sequence)
            }
        }
        guard case .refused(.corrupt) = memory.reading else {
            Issue.record("read: \(memory.reading)")
            return
        }
    }

    @Test("a slot that holds another label than the index means is damaged, the rest is read")
    func staleSlot() throws {
        var memory = try Memory.with([label(1), label(2)])
        let slot = LabelFormat.offset(ofSlot: 1)
        var stale = label(2)
        stale.size = 2 << 20
        memory.write([
            LabelWrite(offset: slot, bytes: stale.encoded(slot: 1, areaUUID: Memory.areaUUID))
        ])
        let area = try memory.area
        #expect(content(area) == [label(1)])
        #expect(
            area.damages.map(\.sentence) == [
                "the label in slot 1: it is not the label that the index means (byte 0x41038)"
            ])
        // The damaged one is neither lost nor overwritten by a change.
        let before = memory.bytes[slot..<slot + 256]
        memory.write(try area.adding(label(3)))
        #expect(memory.bytes[slot..<slot + 256] == before)
        #expect(try memory.area.damages.count == 1)
        #expect(content(try memory.area) == [label(1), label(3)])
    }

    @Test("a header of one index and the rest of another are not taken for a whole one")
    func mixedHeader() throws {
        var memory = try Memory.with([label(1)])
        let other = try Memory.with([label(1)], uuid: [UInt8](repeating: 0xb0, count: 16))
        for start in LabelFormat.indexOffsets {
            memory.bytes.replaceSubrange(start..<start + 64, with: other.bytes[start..<start + 64])
        }
        guard case .refused(.corrupt) = memory.reading else {
            Issue.record("read: \(memory.reading)")
            return
        }
    }

    @Test("unknown flags in the lower half are refused, in the upper half not")
    func flags() throws {
        var strict = label(1)
        strict.flags = 1
        #expect(try Memory.with([strict]).area.damages.count == 1)
        var lenient = label(1)
        lenient.flags = 0x10000
        #expect(content(try Memory.with([lenient]).area) == [lenient])
    }
}

extension Memory {
    /// Changes an index block and puts its checksums right again.
    mutating func patchHeader(of number: Int, _ body: (inout [UInt8]) -> Void) {
        typealias Place = LabelFormat.Index
        let start = LabelFormat.indexOffsets[number]
        var block = Array(bytes[start..<start + 4096])
        body(&block)
        block.put(CRC64.checksum(block[..<Place.headerChecksum]), at: Place.headerChecksum)
        block.put(IndexBlock.checksum(block), at: Place.checksum)
        bytes.replaceSubrange(start..<start + 4096, with: block)
    }
}
