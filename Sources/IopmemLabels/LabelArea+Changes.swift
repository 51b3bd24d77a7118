// SPDX-License-Identifier: GPL-2.0

/// Bytes for the region. Each write is on the device before the next begins.
public struct LabelWrite: Equatable, Sendable {
    /// From the start of the region; a multiple of 8.
    public var offset: Int
    /// What to write; a multiple of 8 many.
    public var bytes: [UInt8]
}

/// Why labels cannot be changed so.
public enum LabelChangeError: Error, Equatable, Sendable {
    /// So many labels do not fit.
    case full(limit: Int)
    /// Other data stands where the next index would be written.
    case foreign(String)
    /// A counter is at its end, which no number of honest changes brings about.
    case exhausted
    /// The new label cannot stand here.
    case objection(LabelArea.Objection)

    /// The whole sentence, without a full stop.
    public var sentence: String {
        switch self {
        case .full(let limit): "the label area has room for \(limit) labels"
        case .foreign(let finding): finding
        case .exhausted: "the label area's counters have run out"
        case .objection(let objection): objection.sentence
        }
    }
}

extension LabelArea {
    /// The writes that add a label.
    ///
    /// The label goes to a free slot, then an index that has it over the older
    /// block, then the same over the other one. Until the first index is whole
    /// its checksum is wrong and the old one counts; from then on the new one.
    public func adding(_ label: Label) throws(LabelChangeError) -> [LabelWrite] {
        try writes(removing: [], adding: [label], uuid: uuid)
    }

    /// The writes that remove the label of a namespace; none if there is none.
    public func removing(uuid namespace: [UInt8]) throws(LabelChangeError) -> [LabelWrite] {
        let slots = entries.filter { $0.label.uuid == namespace }.map(\.slot)
        guard !slots.isEmpty else { return [] }
        return try writes(removing: slots, adding: [], uuid: uuid)
    }

    /// The writes that put other labels in the place of all that are there, at
    /// once; damaged ones go as well.
    ///
    /// - Parameter overForeign: Whether an index block may be written over other
    ///   data.
    public func replacing(
        with labels: [Label], uuid: [UInt8], overForeign: Bool = false
    ) throws(LabelChangeError) -> [LabelWrite] {
        let used = index.entries.indices.filter { index.entries[$0] != nil }
        return try writes(removing: used, adding: labels, uuid: uuid, overForeign: overForeign)
    }

    /// The writes that make a new area where none can be read.
    ///
    /// The last step but one is the 8 bytes of the first magic. Before it there
    /// is no area, after it there is a whole one.
    ///
    /// - Parameter isBlank: Whether all of the area's bytes are known to be zero.
    public static func initial(
        uuid: [UInt8], device: DeviceHint, labels: [Label] = [], isBlank: Bool
    ) throws(LabelChangeError) -> [LabelWrite] {
        var index = IndexBlock(uuid: uuid, device: device)
        var writes: [LabelWrite] = []
        if !isBlank {
            let zeros = { (count: Int) in [UInt8](repeating: 0, count: count) }
            writes = LabelFormat.indexOffsets.map { LabelWrite(offset: $0, bytes: zeros(8)) }
            writes.append(LabelWrite(offset: 0, bytes: zeros(LabelFormat.areaSize)))
        }
        writes += try add(labels, to: &index, beside: [], regionSize: device.regionSize)
        index.sequence = 1
        var first = index.encoded(number: 0)
        let magic = Array(first[..<8])
        first.put([], at: 0, limit: 8)
        writes.append(LabelWrite(offset: LabelFormat.indexOffsets[0], bytes: first))
        writes.append(LabelWrite(offset: LabelFormat.indexOffsets[0], bytes: magic))
        writes.append(
            LabelWrite(offset: LabelFormat.indexOffsets[1], bytes: index.encoded(number: 1)))
        return writes
    }

    private func writes(
        removing slots: [Int], adding labels: [Label], uuid: [UInt8], overForeign: Bool = false
    ) throws(LabelChangeError) -> [LabelWrite] {
        if !overForeign, case .foreign(let finding) = indexFinding { throw .foreign(finding) }
        var next = index
        next.uuid = uuid
        next.sequence += 1
        guard next.sequence < LabelFormat.counterLimit else { throw .exhausted }
        // The old labels' slots are not free yet: the old index may still count.
        let others = entries.filter { !slots.contains($0.slot) }
        var writes = try Self.add(labels, to: &next, beside: others, regionSize: regionSize)
        for slot in slots { next.entries[slot] = nil }
        guard next.entries.contains(nil) else { throw .full(limit: LabelFormat.labelLimit) }
        for number in [firstTarget, 1 - firstTarget] {
            writes.append(
                LabelWrite(
                    offset: LabelFormat.indexOffsets[number], bytes: next.encoded(number: number)))
        }
        return writes
    }

    /// Puts labels into free slots of an index.
    private static func add(
        _ labels: [Label], to index: inout IndexBlock, beside others: [Entry], regionSize: UInt64
    ) throws(LabelChangeError) -> [LabelWrite] {
        var writes: [LabelWrite] = []
        var others = others
        // A new label is newer than all that are there, whatever the index says.
        for entry in others where entry.label.creation < LabelFormat.counterLimit {
            index.nextCreation = max(index.nextCreation, entry.label.creation + 1)
        }
        for label in labels {
            guard let slot = index.entries.firstIndex(of: nil) else {
                throw .full(limit: LabelFormat.labelLimit)
            }
            var entry = Entry(slot: slot, label: label)
            // A label that comes back keeps its place in the order.
            if label.creation == 0 { entry.label.creation = index.nextCreation }
            index.nextCreation = max(index.nextCreation, entry.label.creation &+ 1)
            let reason =
                objection(to: label, regionSize: regionSize) ?? conflict(of: label, with: others)
            if let reason { throw .objection(Objection(entry: entry, reason: reason)) }
            // An index with such a counter could not be read.
            guard index.nextCreation < LabelFormat.counterLimit else { throw .exhausted }
            others.append(entry)
            let bytes = entry.label.encoded(slot: slot, areaUUID: index.uuid)
            index.entries[slot] = Label.checksum(in: bytes)
            writes.append(LabelWrite(offset: LabelFormat.offset(ofSlot: slot), bytes: bytes))
        }
        return writes
    }
}
