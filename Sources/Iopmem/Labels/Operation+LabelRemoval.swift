// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem

extension Operation {
    /// Removes the label of a namespace, unmakes the namespace by `body`, and
    /// writes the label again if that fails.
    ///
    /// The label goes first. A power cut in between then leaves a namespace that
    /// is not restored the next time: what its user has just agreed to, with its
    /// data and their signatures still there, so that nothing is made over them
    /// without --force. In the other order a label that cannot be removed would
    /// be left with a namespace that is gone and wiped, which nobody can undo.
    func withoutLabel(
        of namespace: Namespace, in opened: LabelledRegion, _ body: () throws(IopmemError) -> Void
    ) throws(IopmemError) {
        // Before anybody has claimed an area, no namespace can have a label.
        guard opened.region.labelSize > 0, let area = try labelsIfAny(opened),
            let entry = area.entries.first(where: { $0.label.uuid == namespace.uuid.bytes })
        else { return try body() }
        listener.step("remove the label of \(namespace.dev)")
        do throws(IopmemError) {
            try opened.commit(
                try changes(opened.region) { () throws(LabelChangeError) in
                    try area.removing(uuid: entry.label.uuid)
                })
            try body()
        } catch {
            guard stands(namespace) else { throw error }
            throw putBack(entry.label, in: opened, after: error)
        }
    }

    /// Removes a label if it is there; says whether it was.
    func removeLabel(of uuid: [UInt8], in region: Region) throws(IopmemError) -> Bool {
        let opened = try openLocked(region)
        defer { opened.close() }
        guard let area = try opened.area() else { return false }
        let writes = try changes(region) { () throws(LabelChangeError) in
            try area.removing(uuid: uuid)
        }
        try opened.commit(writes)
        return !writes.isEmpty
    }

    /// Where an area is gone there is no label to remove.
    private func labelsIfAny(_ opened: LabelledRegion) throws(IopmemError) -> LabelArea? {
        switch try opened.reading() {
        case .area(let area): area
        case .refused(let refusal): throw IopmemError(refusal, opened.region)
        case .absent: nil
        }
    }

    /// Also after a half-made removal: what the reader sees decides.
    private func putBack(
        _ label: Label, in opened: LabelledRegion, after error: IopmemError
    ) -> IopmemError {
        do throws(IopmemError) {
            guard let area = try opened.area(),
                !area.labels.contains(where: { $0.uuid == label.uuid })
            else { return error }
            listener.step("undo: write the label of \(label.name) again")
            try opened.commit(
                try changes(opened.region) { () throws(LabelChangeError) in
                    try area.adding(label)
                })
            return error
        } catch let second {
            var both = error
            both.message += "; and afterwards: \(second.message)"
            both.remedy = second.remedy ?? error.remedy
            return both
        }
    }

    func changes(
        _ region: Region, _ body: () throws(LabelChangeError) -> [LabelWrite]
    ) throws(IopmemError) -> [LabelWrite] {
        do throws(LabelChangeError) {
            return try body()
        } catch {
            throw IopmemError(error, region)
        }
    }
}
