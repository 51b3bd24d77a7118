// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemLabels

/// Reading and changing a label area.
@Suite("Label area")
struct LabelAreaTests {
    @Test("what is written is read back")
    func roundTrip() throws {
        let labels = [label(1), label(2, name: ""), label(3)]
        var memory = try Memory.with([labels[0]])
        memory.write(try memory.area.adding(labels[1]))
        memory.write(try memory.area.adding(labels[2]))
        let area = try memory.area
        #expect(content(area) == labels)
        #expect(area.labels.map(\.creation) == [1, 2, 3])
        #expect(area.isWhole)
        #expect(area.indexFinding == nil)
        #expect(area.uuid == Memory.areaUUID)
        #expect(area.device == Memory.device)
        #expect(area.sequence == 3)
    }

    @Test("removing leaves the others, and a slot is used again")
    func removing() throws {
        var memory = try Memory.with([label(1), label(2), label(3)])
        memory.write(try memory.area.removing(uuid: label(2).uuid))
        #expect(content(try memory.area) == [label(1), label(3)])
        memory.write(try memory.area.adding(label(4)))
        let area = try memory.area
        #expect(content(area) == [label(1), label(3), label(4)])
        #expect(area.entries.map(\.slot) == [0, 2, 1])
        #expect(try area.removing(uuid: label(9).uuid).isEmpty)
    }

    @Test("no write touches a slot that an index still names")
    func notInPlace() throws {
        var memory = try Memory.with([label(1), label(2)])
        for number in UInt8(3)..<40 {
            let area = try memory.area
            let used = area.entries.map { LabelFormat.offset(ofSlot: $0.slot) }
            let writes = try area.adding(label(number))
            #expect(!writes.contains { used.contains($0.offset) })
            memory.write(writes)
            memory.write(try memory.area.removing(uuid: label(number - 1).uuid))
        }
        #expect(content(try memory.area) == [label(1), label(39)])
    }

    @Test("no change leaves a counter that no reader takes", arguments: [true, false])
    func counters(atEnd: Bool) throws {
        var memory = try Memory.with([label(1)])
        let last = LabelFormat.counterLimit - (atEnd ? 1 : 2)
        func forge(_ change: (inout IndexBlock) -> Void) throws -> Memory {
            var index = try memory.area.index
            change(&index)
            var forged = memory
            for number in [0, 1] {
                forged.write([
                    LabelWrite(
                        offset: LabelFormat.indexOffsets[number],
                        bytes: index.encoded(number: number))
                ])
            }
            return forged
        }
        for forged in [
            try forge { $0.sequence = last }, try forge { $0.nextCreation = last },
        ] {
            var changed = forged
            if atEnd {
                #expect(throws: LabelChangeError.exhausted) { try forged.area.adding(label(2)) }
            } else {
                changed.write(try forged.area.adding(label(2)))
                #expect(content(try changed.area) == [label(1), label(2)])
            }
        }
        // One that comes back, as from a dump.
        var old = label(3)
        old.creation = last
        if atEnd {
            #expect(throws: LabelChangeError.exhausted) { try memory.area.adding(old) }
        } else {
            memory.write(try memory.area.adding(old))
            #expect(content(try memory.area) == [label(1), label(3)])
        }
    }

    @Test("a new label comes last, also where the index says otherwise")
    func order() throws {
        var memory = Memory()
        var labels = [label(1), label(2)]
        labels[0].creation = 40
        memory.write(
            try LabelArea.initial(
                uuid: Memory.areaUUID, device: Memory.device, labels: labels, isBlank: true))
        var index = try memory.area.index
        index.nextCreation = 2
        for number in [0, 1] {
            memory.write([
                LabelWrite(
                    offset: LabelFormat.indexOffsets[number], bytes: index.encoded(number: number))
            ])
        }
        memory.write(try memory.area.adding(label(3)))
        #expect(content(try memory.area) == [label(1), label(2), label(3)])
        #expect(try memory.area.labels.map(\.creation) == [40, 41, 42])
    }

    @Test("there is room for 383 labels, and no more are written")
    func full() throws {
        let labels = (1...383).map { number in
            Label(
                uuid: [UInt8(number >> 8), UInt8(number & 0xff)]
                    + [UInt8](repeating: 7, count: 14),
                name: "n\(number)", mode: 4, map: 0, offset: UInt64(number) * 2 << 20,
                size: 2 << 20, media: 0, number: UInt32(number))
        }
        let size: UInt64 = 1 << 40
        var memory = Memory()
        memory.write(
            try LabelArea.initial(
                uuid: Memory.areaUUID,
                device: DeviceHint(vendor: 1, device: 2, bar: 0, regionSize: size),
                labels: labels, isBlank: true))
        guard case .area(let area) = LabelArea.read(memory.bytes, regionSize: size) else {
            Issue.record("not readable")
            return
        }
        #expect(content(area) == labels)
        var another = label(200)
        another.offset = 1 << 39
        #expect(throws: LabelChangeError.full(limit: 383)) { try area.adding(another) }
    }

    @Test("all labels are replaced at once")
    func replacing() throws {
        var memory = try Memory.with([label(1), label(2)])
        let uuid = [UInt8](repeating: 0xb0, count: 16)
        memory.write(try memory.area.replacing(with: [label(2), label(5)], uuid: uuid))
        #expect(content(try memory.area) == [label(2), label(5)])
        #expect(try memory.area.uuid == uuid)
    }

    @Test("every write is aligned and stays within one block, or is the whole area")
    func alignment() throws {
        let memory = try Memory.with([label(1)])
        let writes =
            try memory.area.adding(label(2))
            + LabelArea.initial(
                uuid: Memory.areaUUID, device: Memory.device, labels: [label(1)], isBlank: false)
        for write in writes {
            #expect(write.offset.isMultiple(of: 64))
            #expect(write.bytes.count.isMultiple(of: 8))
            let isWhole = write.offset == 0 && write.bytes.count == LabelFormat.areaSize
            #expect(write.offset % 4096 + write.bytes.count <= 4096 || isWhole)
        }
    }

    @Test("a blank region has no labels, and other data are not taken for any")
    func absent() {
        var memory = Memory()
        #expect(memory.reading == .absent(data: nil))
        memory.bytes[0x100000] = 1
        #expect(memory.reading == .absent(data: nil))
        memory.bytes[0x438] = 0x53
        #expect(memory.reading == .absent(data: 0x438))
        var state: UInt64 = 7
        for offset in memory.bytes.indices {
            state = state &* 6_364_136_223_846_793_005 &+ 1
            memory.bytes[offset] = UInt8(state >> 56)
        }
        #expect(memory.reading == .absent(data: 0))
    }

    @Test("an area that ends early is refused with where it ends", arguments: [0, 4095, 8192])
    func truncated(length: Int) throws {
        var memory = try Memory.with([label(1)])
        memory.bytes.removeLast(memory.bytes.count - length)
        let end = length < 4096 ? length : LabelFormat.areaSize - 4096
        #expect(memory.reading == .refused(.truncated(at: end)))
    }

    @Test("only index blocks and used slots are read")
    func economy() throws {
        let memory = try Memory.with([label(1), label(2)])
        var ranges: [Range<Int>] = []
        let reading = LabelArea.read(regionSize: Memory.regionSize) { offset, count in
            ranges.append(offset..<offset + count)
            return Array(memory.bytes[offset..<offset + count])
        }
        #expect(reading == memory.reading)
        #expect(ranges.map(\.count) == [4096, 4096, 256, 256])
    }

    @Test(
        "labels that cannot be are named with the reason",
        arguments: [
            (16 << 20, 3 << 20, "is not aligned"), ((16 << 20) + 4096, 2 << 20, "is not aligned"),
            (16 << 20, 0, "has no size"), (0, 2 << 20, "lies in the label area"),
            (256 << 20, 2 << 20, "ends outside of the region"),
            (2 << 20, 256 << 20, "ends outside of the region"),
            (UInt64.max - (2 << 20) + 1, 4 << 20, "ends outside of the region"),
            (6 << 20, 2 << 20, "overlaps the label label-1 in slot 0"),
            (2 << 20, 252 << 20, "overlaps the label label-1 in slot 0"),
        ] as [(UInt64, UInt64, String)])
    func objections(offset: UInt64, size: UInt64, reason: String) throws {
        var bad = label(9)
        bad.offset = offset
        bad.size = size
        // As a broken writer would leave it: with all checksums right.
        let memory = try Memory.with([label(1)]).forging(bad)
        let area = try memory.area
        #expect(!area.isWhole)
        #expect(
            area.objections.contains {
                $0.entry.label.uuid == bad.uuid
                    && $0.sentence.hasPrefix("the label label-9 in slot 1 \(reason)")
            })
        let error = #expect(throws: LabelChangeError.self) {
            try Memory.with([label(1)]).area.adding(bad)
        }
        #expect(error?.sentence.contains(reason) == true)
    }

    @Test("the same UUID or name twice is refused, for both")
    func duplicates() throws {
        var sameUUID = label(9)
        sameUUID.uuid = label(1).uuid
        #expect(try Memory.with([label(1)]).forging(sameUUID).area.objections.count == 2)
        let sameName = label(9, name: "label-1")
        #expect(try Memory.with([label(1)]).forging(sameName).area.objections.count == 2)
        #expect(throws: LabelChangeError.self) { try Memory.with([label(1)]).area.adding(sameName) }
        #expect(
            try Memory.with([label(1, name: "")]).forging(label(9, name: "")).area.isWhole)
    }

    @Test("a name that would upset a terminal is refused and not repeated")
    func names() throws {
        for name in ["a\u{1b}[2J", "ä", "a b", ".a", "a/b"] {
            let area = try Memory.with().forging(label(9, name: name)).area
            #expect(
                area.objections.map(\.sentence)
                    == ["the label in slot 0 has a name that no namespace can have"])
        }
    }

    @Test("a label of a larger region is refused in a smaller one")
    func smallerRegion() throws {
        let memory = try Memory.with([label(1), label(30)])
        guard case .area(let area) = LabelArea.read(memory.bytes, regionSize: 64 << 20) else {
            Issue.record("not readable")
            return
        }
        #expect(content(area) == [label(1), label(30)])
        #expect(area.objections.map(\.entry.label.number) == [30])
    }
}

extension Memory {
    /// The same with one more label that no check has seen.
    func forging(_ label: Label) throws -> Memory {
        var copy = self
        var index = try area.index
        let slot = try #require(index.entries.firstIndex(of: nil))
        let bytes = label.encoded(slot: slot, areaUUID: index.uuid)
        index.entries[slot] = Label.checksum(in: bytes)
        copy.write([
            LabelWrite(offset: LabelFormat.offset(ofSlot: slot), bytes: bytes),
            LabelWrite(offset: LabelFormat.indexOffsets[0], bytes: index.encoded(number: 0)),
            LabelWrite(offset: LabelFormat.indexOffsets[1], bytes: index.encoded(number: 1)),
        ])
        return copy
    }
}
