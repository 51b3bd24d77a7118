// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import SystemPackage

/// How a label area shall be written.
public struct LabelWriteRequest: Sendable, Equatable {
    /// Where.
    public var target: LabelTarget
    /// Although other data or labels are lost.
    public var force: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(_ target: LabelTarget, force: Bool = false, dryRun: Bool = false) {
        self.target = target
        self.force = force
        self.dryRun = dryRun
    }
}

extension Operation {
    /// Makes a label area, with labels for the namespaces that stand already;
    /// one that is there is left as it is unless `force` makes a new one.
    ///
    /// Where something is lost `agree` is given a sentence that says what, and
    /// throws if the user does not want it.
    public func initLabels(
        _ request: LabelWriteRequest, agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) -> LabelListing {
        try recordingFailure(of: request.target.address.journalFields, unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptLabelInit(request, agree: agree)
        }
    }

    private func attemptLabelInit(
        _ request: LabelWriteRequest, agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) -> LabelListing {
        let region = try labelRegion(of: request.target.address, bar: request.target.bar)
        try requirePrivilege(for: "make a label area on \(region.dev)")
        host.holdSignals()
        var opened = try openLocked(region)
        defer { opened.close() }
        try requireRoom(opened)
        let labels = opened.namespaces.map { Label($0) }
        let writes: [LabelWrite]
        switch try opened.reading() {
        case .area(let area):
            guard request.force else {
                listener.note("\(region.dev) has a label area already")
                try opened.claimUnless(request.dryRun)
                return listing(area, opened)
            }
            try agreeToLose(area, opened, agree)
            writes = try changes(region) { () throws(LabelChangeError) in
                try area.replacing(
                    with: labels, uuid: NamespaceUUID.random().bytes, overForeign: true)
            }
        case .refused(let refusal):
            guard request.force else { throw IopmemError(refusal, region) }
            try agree("\(region.dev): \(refusal.sentence). What can still be read of it is lost.")
            writes = try initial(labels, opened, isBlank: false)
        case .absent:
            writes = try initial(labels, opened, isBlank: try isBlank(opened, request, agree))
        }
        guard !request.dryRun else {
            listener.note(
                "would make a label area on \(region.dev) with \(labels.count) labels")
            return LabelListing(area: nil, labels: [])
        }
        try checkpoint()
        listener.step("write the label area of \(region.dev)")
        try write(writes, to: &opened)
        record("made a label area on \(region.dev)", region)
        guard let made = try opened.area() else {
            throw IopmemError(
                .failed, "the label area of \(region.dev) is not there after it was written",
                remedy: "see what the kernel said: dmesg | tail")
        }
        return listing(made, opened)
    }

    /// Reserves and writes; where there was no area before, none is left behind
    /// by a failure: its first magic is the last thing that makes it one.
    func write(_ writes: [LabelWrite], to opened: inout LabelledRegion) throws(IopmemError) {
        let wasClaimed = opened.region.labelSize > 0
        try opened.claim()
        do throws(IopmemError) {
            try opened.commit(writes)
        } catch {
            if !wasClaimed, case .absent = try? opened.reading() {
                try? opened.control.setLabelArea(length: 0)
            }
            throw error
        }
    }

    func requireRoom(_ opened: LabelledRegion) throws(IopmemError) {
        let region = opened.region
        if let first = opened.namespaces.first(where: {
            $0.offset < UInt64(LabelFormat.areaSize)
        }) {
            throw IopmemError(
                .busy, "cannot make a label area on \(region.dev)",
                because: "\(first.dev) is in its first 2 MiB",
                remedy: "save its data, then: iopmemctl destroy \(first.dev)")
        }
        guard region.size > UInt64(LabelFormat.areaSize) else {
            throw IopmemError(
                .unsupported, "cannot make a label area on \(region.dev)",
                because: "beside it there is no room for a namespace")
        }
    }

    private func initial(
        _ labels: [Label], _ opened: LabelledRegion, isBlank: Bool
    ) throws(IopmemError) -> [LabelWrite] {
        let device = try DeviceList(root: host.root).device(at: opened.region.device)
        return try changes(opened.region) { () throws(LabelChangeError) in
            try LabelArea.initial(
                uuid: NamespaceUUID.random().bytes,
                device: DeviceHint(device, opened.region), labels: labels, isBlank: isBlank)
        }
    }

    /// Whether the place is all zeros; if it is not, `force` is needed.
    private func isBlank(
        _ opened: LabelledRegion, _ request: LabelWriteRequest,
        _ agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) -> Bool {
        let region = opened.region
        guard let first = try opened.bytes().firstNonZero else { return true }
        let found: [Signature]
        do throws(Errno) {
            found = try opened.control.signatures(in: 0..<region.size)
        } catch {
            throw IopmemError(error, "cannot look for data in \(region.dev)")
        }
        let what =
            found.isEmpty
            ? "data that nobody recognises, from byte 0x\(String(first, radix: 16)),"
            : found.map(\.phrase).joined(separator: " and ")
        guard request.force else {
            throw IopmemError(
                .dataPresent, "cannot make a label area on \(region.dev)",
                because: "\(what) stands in its first 2 MiB",
                remedy: "add --force to lose it")
        }
        try agree("\(region.dev): \(what) stands in its first 2 MiB, which are overwritten.")
        return false
    }

    private func agreeToLose(
        _ area: LabelArea, _ opened: LabelledRegion,
        _ agree: (String) throws(IopmemError) -> Void
    ) throws(IopmemError) {
        let lost =
            opened.missing(area).map(\.phrase) + area.damages.map(\.sentence)
            + [area.indexFinding].compactMap { finding in
                if case .foreign(let sentence) = finding {
                    "what is there: \(sentence)"
                } else {
                    nil
                }
            }
        try agree(
            "\(opened.region.dev): a new label area takes the place of one with"
                + " \(area.entries.count) labels. "
                + (lost.isEmpty
                    ? "All their namespaces stand and get labels again."
                    : "Lost are: \(lost.joined(separator: ", ")). Their data are left as they are.")
        )
    }

    func listing(_ area: LabelArea, _ opened: LabelledRegion) -> LabelListing {
        LabelListing(
            area: LabelSummary(area, opened.region),
            labels: area.entries.map {
                LabelRecord($0, in: area, namespaces: opened.namespaces)
            })
    }
}

extension LabelledRegion {
    mutating func claimUnless(_ dryRun: Bool) throws(IopmemError) {
        if !dryRun { try claim() }
    }
}

extension DeviceHint {
    init(_ device: Device, _ region: Region) {
        self.init(
            vendor: device.vendorID, device: device.deviceID, bar: UInt8(region.bar),
            regionSize: region.size)
    }
}
