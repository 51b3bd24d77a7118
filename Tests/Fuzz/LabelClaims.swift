// SPDX-License-Identifier: GPL-2.0
@testable import IopmemLabels

/// Whoever damages a label area, or makes one on purpose, gets a refusal or a reading that fits the
/// region; and nothing that was there is lost without a word.
enum LabelClaims {
    private static let regionSize: UInt64 = 256 << 20

    /// An area with three labels, as this tool makes it.
    private static let whole: SparseArea = {
        let labels = (UInt8(1)...3).map { number in
            Label(
                uuid: [number] + [UInt8](repeating: 0x11, count: 15), name: "label-\(number)",
                mode: 1, map: 1, offset: UInt64(number) * 4 << 20, size: 4 << 20, media: 1,
                number: UInt32(number))
        }
        let device = DeviceHint(vendor: 0x1af4, device: 0x1110, bar: 2, regionSize: regionSize)
        var area = SparseArea()
        do {
            let writes = try LabelArea.initial(
                uuid: [UInt8](0xa0...0xaf), device: device, labels: labels, isBlank: true)
            for write in writes { area.put(write) }
        } catch {
            fatalError("no area can be made: \(error)")
        }
        return area
    }()

    private static let labels: [Label] = content(of: whole) ?? []

    static func examine(_ bytes: [UInt8]) {
        var input = Input(bytes)
        var area = whole
        let isSealed = input.byte() & 1 == 1
        while !input.isAtEnd {
            let place = SparseArea.places[Int(input.byte()) % SparseArea.places.count]
            area.blocks[place]?[input.number(below: LabelFormat.blockSize)] = input.byte()
        }
        if isSealed { seal(&area) }
        let reading = area.reading(regionSize)
        guard case .area(let found) = reading else { return }
        claim(
            found.indexFinding?.reads ?? true, "an index finding without words in \(reading)")
        if !isSealed {
            // Nobody has made checksums fit, so what is read is what was written.
            for entry in found.entries where !labels.contains(anonymous(entry.label)) {
                fatalError("a label that nobody wrote: \(entry)")
            }
            claim(
                found.entries.count + found.damages.count == labels.count,
                "\(found.entries.count) labels and \(found.damages.count) damages of \(labels.count)"
            )
        }
        examine(found)
        change(found, in: area)
    }

    /// What is believed lies in the region, apart from each other, and can be told apart.
    private static func examine(_ area: LabelArea) {
        let doubted = Set(area.objections.map(\.entry.slot))
        let believed = area.entries.filter { !doubted.contains($0.slot) }.map(\.label)
        for (index, label) in believed.enumerated() {
            let (end, overflow) = label.offset.addingReportingOverflow(label.size)
            claim(
                !overflow && end <= regionSize && label.size > 0, "\(label) is outside the region")
            claim(
                label.offset >= UInt64(LabelFormat.areaSize), "\(label) lies on the labels")
            for other in believed[(index + 1)...] {
                claim(
                    end <= other.offset || other.offset + other.size <= label.offset,
                    "\(label) and \(other) share bytes, and nobody objects")
                claim(label.uuid != other.uuid, "\(label) and \(other) have one UUID")
            }
        }
    }

    /// An area that can be read can be changed, and then holds what it held and the new label, or
    /// refuses; half written, it still holds what it held.
    private static func change(_ area: LabelArea, in before: SparseArea) {
        guard area.isWhole else { return }
        let added = Label(
            uuid: [UInt8](repeating: 0x77, count: 16), name: "added", mode: 1, map: 1,
            offset: 64 << 20, size: 2 << 20, media: 1, number: 77)
        guard let writes = try? area.adding(added) else { return }
        let old = area.labels.map(anonymous)
        let new = old + [anonymous(added)]
        var changed = before
        for (index, write) in writes.enumerated() {
            changed.put(write)
            guard let now = content(of: changed) else {
                fatalError("unreadable after write \(index + 1) of \(writes.count)")
            }
            claim(now == old || now == new, "\(now) after write \(index + 1)")
            if index == writes.count - 1 { claim(now == new, "\(now) in the end") }
        }
    }

    /// Makes every checksum right, as somebody could who wants to be believed.
    private static func seal(_ area: inout SparseArea) {
        typealias Index = LabelFormat.Index
        let place = LabelFormat.Label.checksum
        var checksums: [UInt64] = []
        for slot in 0..<SparseArea.slots {
            let offset = LabelFormat.offset(ofSlot: slot)
            let checksum = CRC64.checksum(
                area.blocks[offset, default: []].prefix(LabelFormat.labelSize),
                zeroing: [place..<place + 8])
            area.blocks[offset]?.put(checksum, at: place)
            checksums.append(checksum)
        }
        for offset in LabelFormat.indexOffsets {
            var block = area.blocks[offset, default: []]
            for (slot, checksum) in checksums.enumerated() {
                let isUsed = block[Index.bitmap] & 1 << UInt8(slot) != 0
                block.put(isUsed ? checksum : 0, at: Index.entries + slot * 8)
            }
            block.put(
                CRC64.checksum(block[..<Index.headerChecksum]), at: Index.headerChecksum)
            block.put(IndexBlock.checksum(block), at: Index.checksum)
            area.blocks[offset] = block
        }
    }

    private static func content(of area: SparseArea) -> [Label]? {
        guard case .area(let found) = area.reading(regionSize) else { return nil }
        return found.labels.map(anonymous)
    }

    /// Without when it was made.
    private static func anonymous(_ label: Label) -> Label {
        var label = label
        label.creation = 0
        return label
    }
}

/// The blocks of an area in which something can stand here: to copy 2 MiB for each input would be
/// most of the work.
private struct SparseArea {
    static let slots = 8
    static let places =
        LabelFormat.indexOffsets + (0..<slots).map { LabelFormat.offset(ofSlot: $0) }

    var blocks = Dictionary(
        uniqueKeysWithValues: places.map {
            ($0, [UInt8](repeating: 0, count: LabelFormat.blockSize))
        })

    mutating func put(_ write: LabelWrite) {
        let place = write.offset / LabelFormat.blockSize * LabelFormat.blockSize
        let start = write.offset - place
        blocks[place]?.replaceSubrange(start..<start + write.bytes.count, with: write.bytes)
    }

    func reading(_ regionSize: UInt64) -> LabelReading {
        LabelArea.read(regionSize: regionSize) { offset, count in
            let block = blocks[offset] ?? [UInt8](repeating: 0, count: LabelFormat.blockSize)
            return Array(block.prefix(count))
        }
    }
}

extension LabelArea.IndexFinding {
    fileprivate var reads: Bool { !sentence.isEmpty }
}
