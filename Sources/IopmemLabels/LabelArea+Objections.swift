// SPDX-License-Identifier: GPL-2.0

extension LabelArea.Entry {
    /// Whether its name follows the rule for names, and so can be shown on a
    /// terminal.
    public var hasPlainName: Bool { LabelArea.hasPlainName(label) }

    /// How a message names it: `the label scratch in slot 3`.
    public var phrase: String {
        let name = hasPlainName && !label.name.isEmpty ? " \(label.name)" : ""
        return "the label\(name) in slot \(slot)"
    }
}

extension LabelArea.Objection {
    /// The whole sentence, without a full stop.
    public var sentence: String { "\(entry.phrase) \(reason)" }
}

extension LabelArea {
    /// Labels of a region of that many bytes that contradict it or each other.
    static func objections(to entries: [Entry], regionSize: UInt64) -> [Objection] {
        entries.compactMap { entry in
            let others = entries.filter { $0.slot != entry.slot }
            return
                (objection(to: entry.label, regionSize: regionSize)
                ?? conflict(of: entry.label, with: others))
                .map { Objection(entry: entry, reason: $0) }
        }
    }

    /// Why a label cannot stand in a region of that many bytes, after "the label
    /// x "; nil if it can.
    public static func objection(to label: Label, regionSize: UInt64) -> String? {
        let area = UInt64(LabelFormat.areaSize)
        guard label.uuid.count == 16, label.uuid.contains(where: { $0 != 0 }) else {
            return "has no UUID"
        }
        guard hasPlainName(label) else { return "has a name that no namespace can have" }
        guard label.creation < LabelFormat.counterLimit else {
            return "has a counter that has run out"
        }
        guard label.size > 0 else { return "has no size" }
        guard label.offset.isMultiple(of: LabelFormat.align),
            label.size.isMultiple(of: LabelFormat.align)
        else {
            return "is not aligned to \(LabelFormat.align) bytes: offset \(label.offset), size"
                + " \(label.size)"
        }
        guard label.offset >= area else {
            return "lies in the label area itself: offset \(label.offset)"
        }
        guard let range = label.range, range.upperBound <= regionSize else {
            return "ends outside of the region, which has \(regionSize) bytes: offset"
                + " \(label.offset), size \(label.size)"
        }
        return nil
    }

    /// The ABI's rule for names; what passes can be shown on a terminal.
    static func hasPlainName(_ label: Label) -> Bool {
        func isPlain(_ scalar: Unicode.Scalar) -> Bool {
            ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
                || ("0"..."9").contains(scalar)
        }
        let scalars = label.name.unicodeScalars
        return scalars.count <= LabelFormat.maxNameLength && scalars.first.map(isPlain) ?? true
            && scalars.allSatisfy { isPlain($0) || $0 == "." || $0 == "_" || $0 == "-" }
    }

    static func conflict(of label: Label, with others: [Entry]) -> String? {
        for other in others {
            let place = other.phrase
            if other.label.uuid == label.uuid { return "has the same UUID as \(place)" }
            if !label.name.isEmpty, other.label.name == label.name {
                return "has the same name as \(place)"
            }
            if let range = label.range, other.label.range?.overlaps(range) == true {
                return "overlaps \(place)"
            }
        }
        return nil
    }
}
