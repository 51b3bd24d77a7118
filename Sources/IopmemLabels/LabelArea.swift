// SPDX-License-Identifier: GPL-2.0

/// A label area that can be read: its newest index and the labels in it.
public struct LabelArea: Equatable, Sendable {
    /// A label and where it stands.
    public struct Entry: Equatable, Sendable {
        /// The number of the slot.
        public var slot: Int
        /// What is in it.
        public var label: Label
    }

    /// A label that is whole, and yet describes what cannot be.
    public struct Objection: Equatable, Sendable {
        /// Which one.
        public var entry: Entry
        /// Why, after "the label scratch in slot 3 ".
        public var reason: String
    }

    /// Something about the index blocks that lost no label.
    public enum IndexFinding: Equatable, Sendable {
        /// One block cannot be used; the sentence says why.
        case damaged(String)
        /// In the place of one there is something that is not ours.
        case foreign(String)
        /// A write of the area did not come to its end; nothing is wrong.
        case interrupted(String)

        /// What was found, and at which byte.
        public var sentence: String {
            switch self {
            case .damaged(let text), .foreign(let text), .interrupted(let text): text
            }
        }
    }

    let index: IndexBlock
    /// Which block to write first: the one that does not hold the newest index.
    let firstTarget: Int
    let regionSize: UInt64
    /// What stands out about the index blocks, if something does.
    public let indexFinding: IndexFinding?
    /// The labels, in the order of their making.
    public let entries: [Entry]
    /// Slots that should hold a label and do not.
    public let damages: [SlotDamage]
    /// Labels that must not be believed.
    public let objections: [Objection]

    /// The area's own 16 bytes of identity.
    public var uuid: [UInt8] { index.uuid }
    /// How often the area was changed.
    public var sequence: UInt64 { index.sequence }
    /// Where it was made.
    public var device: DeviceHint { index.device }
    /// The labels without their slots.
    public var labels: [Label] { entries.map(\.label) }
    /// Whether every label is there and can be believed.
    public var isWhole: Bool { damages.isEmpty && objections.isEmpty }
}

/// What the start of a region turned out to be.
public enum LabelReading: Equatable, Sendable {
    /// No label area; `data` is the first byte of the places for index blocks
    /// that is not zero, if one is.
    case absent(data: Int?)
    /// Labels.
    case area(LabelArea)
    /// A label area that must neither be believed nor overwritten.
    case refused(LabelRefusal)
}

/// Why a label area cannot be read.
public enum LabelRefusal: Error, Equatable, Sendable {
    /// It is ours, and no index can be trusted; what was found in each place.
    case corrupt([String])
    /// A newer version of this tool wrote it: what it needs.
    case future(String)
    /// The bytes end before byte `at`.
    case truncated(at: Int)

    /// The whole sentence, without a full stop.
    public var sentence: String {
        switch self {
        case .corrupt(let findings):
            "the label area is corrupt: " + findings.joined(separator: "; ")
        case .future(let needed):
            "the label area has \(needed), and this tool knows version \(LabelFormat.version)"
                + " without further features"
        case .truncated(let end): "the label area ends at \(byte(end))"
        }
    }
}

extension LabelArea {
    /// Reads the start of a region of `regionSize` bytes through `source`, which
    /// is given an offset and a count and returns fewer bytes only at the end.
    ///
    /// Touches only the index blocks and used slots: a read over PCIe is slow.
    public static func read<Failure: Error>(
        regionSize: UInt64,
        from source: (_ offset: Int, _ count: Int) throws(Failure) -> [UInt8]
    ) throws(Failure) -> LabelReading {
        var states: [BlockState] = []
        for (number, offset) in LabelFormat.indexOffsets.enumerated() {
            let bytes = try source(offset, LabelFormat.blockSize)
            guard bytes.count == LabelFormat.blockSize else {
                return .refused(.truncated(at: offset + bytes.count))
            }
            states.append(IndexBlock.state(of: bytes, number: number))
        }
        let choice: Choice
        switch choose(states) {
        case .failure(let outcome): return outcome.reading
        case .success(let found): choice = found
        }
        var found: [Result<Entry, SlotDamage>] = []
        for (slot, entry) in choice.index.entries.enumerated() {
            guard let entry else { continue }
            let bytes = try source(LabelFormat.offset(ofSlot: slot), LabelFormat.labelSize)
            let label = Label.decode(
                bytes, slot: slot, areaUUID: choice.index.uuid, expecting: entry)
            found.append(label.map { Entry(slot: slot, label: $0) })
        }
        return .area(LabelArea(choice, found, regionSize: regionSize))
    }

    /// The same of bytes in memory, such as a dump.
    public static func read(_ bytes: [UInt8], regionSize: UInt64) -> LabelReading {
        read(regionSize: regionSize) { offset, count in
            Array(bytes.dropFirst(offset).prefix(count))
        }
    }

    private init(
        _ choice: Choice, _ found: [Result<Entry, SlotDamage>], regionSize: UInt64
    ) {
        index = choice.index
        firstTarget = choice.firstTarget
        self.regionSize = regionSize
        indexFinding = choice.finding
        entries = found.compactMap { try? $0.get() }
            .sorted { ($0.label.creation, $0.slot) < ($1.label.creation, $1.slot) }
        damages = found.compactMap { result in
            guard case .failure(let damage) = result else { return nil }
            return damage
        }
        objections = Self.objections(to: entries, regionSize: regionSize)
    }
}

// MARK: - Which index is the newest

/// The newest index, and what to write next time.
private struct Choice {
    let index: IndexBlock
    let firstTarget: Int
    let finding: LabelArea.IndexFinding?
}

/// A reading that ends at the index blocks.
private struct Outcome: Error {
    let reading: LabelReading
}

/// What one state is called in a sentence.
private func sentence(_ state: BlockState, _ number: Int) -> String {
    let name = number == 0 ? "the first index block" : "the last index block"
    let place = "(\(byte(LabelFormat.indexOffsets[number])))"
    switch state {
    case .blank: return "\(name) is empty \(place)"
    case .foreign(let at): return "\(name) is overwritten by other data from \(byte(at))"
    case .damaged(let reason, let at): return "\(name): \(reason) (\(byte(at)))"
    case .future(let needed): return "\(name) has \(needed) \(place)"
    case .valid(let index): return "\(name) has sequence number \(index.sequence) \(place)"
    }
}

private func choose(_ states: [BlockState]) -> Result<Choice, Outcome> {
    for case .future(let needed) in states {
        return .failure(Outcome(reading: .refused(.future(needed))))
    }
    let sentences = states.enumerated().map { sentence($1, $0) }
    switch (states[0].index, states[1].index) {
    case (let first?, let last?):
        if first.sequence == last.sequence {
            guard first.agrees(with: last) else {
                return .failure(
                    Outcome(
                        reading: .refused(
                            .corrupt(sentences + ["they say different things of the labels"]))))
            }
            return .success(Choice(index: last, firstTarget: 0, finding: nil))
        }
        let newest = first.sequence > last.sequence ? 0 : 1
        return .success(
            Choice(
                index: newest == 0 ? first : last, firstTarget: 1 - newest,
                finding: .interrupted(
                    "the last change did not come to its end: "
                        + sentences.joined(separator: ", "))))
    case (let index?, nil):
        return .success(
            Choice(index: index, firstTarget: 1, finding: finding(states[1], sentences[1])))
    case (nil, let index?):
        return .success(
            Choice(index: index, firstTarget: 0, finding: finding(states[0], sentences[0])))
    case (nil, nil):
        let isOurs = states.contains {
            if case .damaged = $0 { true } else { false }
        }
        guard !isOurs else {
            return .failure(Outcome(reading: .refused(.corrupt(sentences))))
        }
        let data = states.compactMap { state -> Int? in
            if case .foreign(let at) = state { at } else { nil }
        }
        return .failure(Outcome(reading: .absent(data: data.first)))
    }
}

private func finding(_ state: BlockState, _ sentence: String) -> LabelArea.IndexFinding {
    switch state {
    case .blank: .interrupted(sentence)
    case .foreign: .foreign(sentence)
    default: .damaged(sentence)
    }
}
