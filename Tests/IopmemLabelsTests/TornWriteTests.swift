// SPDX-License-Identifier: GPL-2.0
import Testing

@testable import IopmemLabels

/// Power cuts at every moment of every change.
@Suite("Torn label writes")
struct TornWriteTests {
    /// A change, and what stands there before it.
    enum Change: CaseIterable {
        case initOnBlank
        case initOnData
        case initWithLabels
        case initOverCorrupt
        case addFirst
        case add
        case addAfterInterruption
        case addBesideDamage
        case remove
        case removeLast
        case replace

        func steps() throws -> (before: Memory, writes: [LabelWrite]) {
            let two = [label(1), label(2)]
            switch self {
            case .initOnBlank, .initWithLabels:
                let labels = self == .initOnBlank ? [] : two
                return (Memory(), try initial(labels, isBlank: true))
            case .initOnData:
                var memory = Memory()
                for offset in stride(from: 3, to: LabelFormat.areaSize, by: 7) {
                    memory.bytes[offset] = UInt8(truncatingIfNeeded: offset)
                }
                return (memory, try initial(two, isBlank: false))
            case .initOverCorrupt:
                var memory = try Memory.with(two)
                for offset in LabelFormat.indexOffsets { memory.bytes[offset + 2000] ^= 1 }
                return (memory, try initial([], isBlank: false))
            case .addFirst: return try from(Memory.with()) { try $0.adding(label(1)) }
            case .add: return try from(Memory.with(two)) { try $0.adding(label(3)) }
            case .addAfterInterruption:
                var memory = try Memory.with(two)
                memory.write(try memory.area.adding(label(3)).dropLast())
                return try from(memory) { try $0.adding(label(4)) }
            case .addBesideDamage:
                var memory = try Memory.with(two)
                memory.bytes[LabelFormat.indexOffsets[1] + 70] ^= 1
                return try from(memory) { try $0.adding(label(3)) }
            case .remove:
                return try from(Memory.with(two)) { try $0.removing(uuid: label(1).uuid) }
            case .removeLast:
                return try from(Memory.with([label(1)])) {
                    try $0.removing(uuid: label(1).uuid)
                }
            case .replace:
                return try from(Memory.with(two)) {
                    try $0.replacing(
                        with: [label(2), label(7)], uuid: [UInt8](repeating: 0xb0, count: 16))
                }
            }
        }

        private func initial(_ labels: [Label], isBlank: Bool) throws -> [LabelWrite] {
            try LabelArea.initial(
                uuid: Memory.areaUUID, device: Memory.device, labels: labels, isBlank: isBlank)
        }

        private func from(
            _ memory: Memory, _ body: (LabelArea) throws -> [LabelWrite]
        ) throws -> (Memory, [LabelWrite]) {
            (memory, try body(try memory.area))
        }
    }

    @Test(
        "after each 8 bytes of each step there is the old state or the new one",
        arguments: Change.allCases)
    func prefixes(change: Change) throws {
        var (memory, writes) = try change.steps()
        let old = State(memory.reading)
        var after = memory
        after.write(writes)
        let new = State(after.reading)
        #expect(old != new)
        var isNew = false
        for write in writes {
            for offset in stride(from: 0, to: write.bytes.count, by: 8) {
                let place = write.offset + offset..<write.offset + offset + 8
                let word = write.bytes[offset..<offset + 8]
                // What is equal already makes no new case.
                guard memory.bytes[place] != word else { continue }
                memory.bytes.replaceSubrange(place, with: word)
                // Zeroing what is not ours cannot be told apart half-way.
                if write.bytes.count == LabelFormat.areaSize, offset % 65536 != 0 { continue }
                let state = State(memory.reading)
                #expect(state == new || !isNew && (state == old || state == .absent))
                #expect(state != .absent || old.isReplaceable)
                isNew = isNew || state == new
            }
        }
        #expect(isNew && memory == after)
    }

    @Test(
        "stores that reach the device in any order, of any size, change nothing of that",
        arguments: Change.allCases, [8, 64, 512, 4096])
    func anyOrder(change: Change, size: Int) throws {
        var random = Generator(state: UInt64(size))
        var (memory, writes) = try change.steps()
        let old = State(memory.reading)
        var after = memory
        after.write(writes)
        let new = State(after.reading)
        for write in writes {
            for _ in 0..<(write.bytes.count > 4096 ? 1 : 24) {
                var torn = memory
                for start in stride(from: 0, to: write.bytes.count, by: size)
                where random.next() & 1 == 0 {
                    let end = min(start + size, write.bytes.count)
                    torn.bytes.replaceSubrange(
                        write.offset + start..<write.offset + end, with: write.bytes[start..<end])
                }
                let state = State(torn.reading)
                #expect(state == old || state == new || state == .absent && old.isReplaceable)
            }
            memory.write([write])
        }
    }

    /// What a reader is told, as far as it matters.
    enum State: Equatable {
        case absent
        case refused
        case labels(uuid: [UInt8], [Label])

        init(_ reading: LabelReading) {
            switch reading {
            case .absent: self = .absent
            case .refused: self = .refused
            case .area(let area):
                self = area.isWhole ? .labels(uuid: area.uuid, content(area)) : .refused
            }
        }

        /// Whether only somebody who insists writes a new area over it.
        var isReplaceable: Bool {
            if case .labels = self { false } else { true }
        }
    }
}

/// The same numbers in every run: splitmix64.
struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
