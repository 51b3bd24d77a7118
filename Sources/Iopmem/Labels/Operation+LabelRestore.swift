// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem

extension Operation {
    /// Puts a dump of a label area back, after it has been verified: it is whole,
    /// fits the region, and has a label for each namespace that stands.
    ///
    /// The labels are replaced all at once; where there is no area that can be
    /// read a new one is made, for which data in the way need `force`.
    public func restoreLabels(
        from dump: [UInt8], named file: String, _ request: LabelWriteRequest,
        agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) -> LabelListing {
        try recordingFailure(of: request.target.address.journalFields, unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptLabelRestore(from: dump, named: file, request, agree: agree)
        }
    }

    private func attemptLabelRestore(
        from dump: [UInt8], named file: String, _ request: LabelWriteRequest,
        agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) -> LabelListing {
        let region = try labelRegion(of: request.target.address, bar: request.target.bar)
        try requirePrivilege(for: "write the labels of \(region.dev)")
        let wanted = try verified(dump, file, region)
        host.holdSignals()
        var opened = try openLocked(region)
        defer { opened.close() }
        try requireRoom(opened)
        try requireLabels(for: opened.namespaces, in: wanted, file)
        let writes: [LabelWrite]
        switch try opened.reading() {
        case .area(let area):
            if area.labels == wanted.labels, area.uuid == wanted.uuid, area.isWhole,
                area.indexFinding == nil
            {
                listener.note("\(region.dev) has these labels already")
                return try listing(opened)
            }
            writes = try replacing(area, with: wanted, opened, request, agree)
        case .refused(let refusal):
            guard request.force else {
                throw IopmemError(
                    .failed, "cannot write the labels of \(region.dev)",
                    because: refusal.sentence,
                    remedy: "add --force to put the labels of \(file) in their place")
            }
            try agree("\(region.dev): \(refusal.sentence). The labels of \(file) take its place.")
            writes = try initial(wanted, opened, isBlank: false)
        case .absent:
            let isBlank = try opened.bytes().firstNonZero == nil
            guard isBlank || request.force else {
                throw IopmemError(
                    .dataPresent, "cannot write the labels of \(region.dev)",
                    because: "other data stand in its first 2 MiB",
                    remedy: "add --force to lose them")
            }
            if !isBlank {
                try agree("\(region.dev): the first 2 MiB hold other data, and are overwritten.")
            }
            writes = try initial(wanted, opened, isBlank: isBlank)
        }
        guard !request.dryRun else {
            listener.note("would write \(wanted.entries.count) labels to \(region.dev)")
            return try listing(opened)
        }
        try checkpoint()
        listener.step("write the labels of \(file) to \(region.dev)")
        try write(writes, to: &opened)
        record("wrote the labels of \(file) to \(region.dev)", region)
        return try listing(opened)
    }

    private func verified(
        _ dump: [UInt8], _ file: String, _ region: Region
    ) throws(IopmemError) -> LabelArea {
        func refuse(_ reason: String) -> IopmemError {
            IopmemError(
                .invalid, "cannot restore labels from \(file)", because: reason,
                remedy: "use a file that iopmemctl labels dump has written")
        }
        guard dump.count == LabelFormat.areaSize else {
            throw refuse("it has \(dump.count) bytes, and a dump has \(LabelFormat.areaSize)")
        }
        switch LabelArea.read(dump, regionSize: region.size) {
        case .absent: throw refuse("there are no labels in it")
        case .refused(let refusal): throw refuse(refusal.sentence)
        case .area(let area):
            let findings = area.damages.map(\.sentence) + area.objections.map(\.sentence)
            guard findings.isEmpty else { throw refuse(findings.joined(separator: "; ")) }
            return area
        }
    }

    private func requireLabels(
        for namespaces: [Namespace], in wanted: LabelArea, _ file: String
    ) throws(IopmemError) {
        for namespace in namespaces {
            let label = wanted.labels.first { $0.uuid == namespace.uuid.bytes }
            guard label?.range != namespace.range else { continue }
            throw IopmemError(
                .busy, "cannot restore labels from \(file)",
                because: "\(namespace.dev) stands, and has no label there or at another place",
                remedy: "save its data, then: iopmemctl destroy \(namespace.dev)")
        }
    }

    private func replacing(
        _ area: LabelArea, with wanted: LabelArea, _ opened: LabelledRegion,
        _ request: LabelWriteRequest, _ agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) -> [LabelWrite] {
        let dev = opened.region.dev
        if case .foreign(let finding) = area.indexFinding {
            guard request.force else {
                throw IopmemError(
                    .dataPresent, "cannot write the labels of \(dev)", because: finding,
                    remedy: "add --force to lose those data")
            }
            try agree("\(dev): \(finding). Those data are lost.")
        }
        let kept = Set(wanted.labels.map(\.uuid))
        let lost = area.entries.filter { !kept.contains($0.label.uuid) }.map(\.phrase)
        if !lost.isEmpty {
            try agree("\(dev): \(lost.joined(separator: ", ")) will be lost.")
        }
        return try changes(opened.region) { () throws(LabelChangeError) in
            try area.replacing(
                with: wanted.labels, uuid: wanted.uuid, overForeign: request.force)
        }
    }

    private func initial(
        _ wanted: LabelArea, _ opened: LabelledRegion, isBlank: Bool
    ) throws(IopmemError) -> [LabelWrite] {
        let device = try DeviceList(root: host.root).device(at: opened.region.device)
        return try changes(opened.region) { () throws(LabelChangeError) in
            try LabelArea.initial(
                uuid: wanted.uuid, device: DeviceHint(device, opened.region),
                labels: wanted.labels, isBlank: isBlank)
        }
    }

    private func listing(_ opened: LabelledRegion) throws(IopmemError) -> LabelListing {
        guard let area = try opened.area() else { return LabelListing(area: nil, labels: []) }
        return listing(area, opened)
    }
}
