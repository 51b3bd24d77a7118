// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import SystemPackage

/// Which region a `labels` command means.
public struct LabelTarget: Sendable, Equatable {
    /// The PCI function, which must be bound.
    public var address: PCIAddress
    /// The BAR; nil where only one is a region.
    public var bar: Int?

    /// That region.
    public init(_ address: PCIAddress, bar: Int? = nil) {
        self.address = address
        self.bar = bar
    }
}

/// The labels of a region, as they are shown.
public struct LabelListing: Sendable, Equatable {
    /// The area; nil if there is none.
    public var area: LabelSummary?
    /// In the order of their making.
    public var labels: [LabelRecord]
}

extension Operation {
    /// The labels of a region. Fails where an area is there and cannot be read.
    public func labels(of target: LabelTarget) throws(IopmemError) -> LabelListing {
        let opened = try openToLook(target, "read the labels of")
        defer { opened.close() }
        guard let area = try opened.area() else {
            listener.note(
                "\(opened.region.dev) has no label area; make one: iopmemctl labels init"
                    + " \(target.address)")
            return LabelListing(area: nil, labels: [])
        }
        if let finding = area.indexFinding {
            listener.warn("\(opened.region.dev): \(finding.sentence)")
        }
        for damage in area.damages { listener.warn("\(opened.region.dev): \(damage.sentence)") }
        return listing(area, opened)
    }

    /// Whether the labels of a region are whole and fit it and its namespaces.
    public func checkLabels(of target: LabelTarget) throws(IopmemError) -> [Check] {
        let opened = try openToLook(target, "check the labels of")
        defer { opened.close() }
        let dev = opened.region.dev
        let reading = try opened.reading()
        guard case .area(let area) = reading else {
            return [Check(reading, opened.region, namespaces: opened.namespaces)]
        }
        var checks: [Check] = []
        if let finding = area.indexFinding { checks.append(Check(finding, opened.region)) }
        let remedy =
            "put a dump back: iopmemctl labels restore \(target.address) --from FILE; or give the"
            + " labels up and keep those of standing namespaces: iopmemctl labels init"
            + " \(target.address) --force"
        for sentence in area.damages.map(\.sentence) + area.objections.map(\.sentence) {
            checks.append(Check("label", .problem, dev, sentence, remedy: remedy))
        }
        checks += contradictions(area, opened)
        if !checks.contains(where: { $0.status != .ok }) {
            checks.append(
                Check(
                    "label-area", .ok, dev,
                    "\(area.entries.count) labels, sequence number \(area.sequence), both index"
                        + " blocks whole"))
        }
        return checks
    }

    private func contradictions(_ area: LabelArea, _ opened: LabelledRegion) -> [Check] {
        opened.namespaces.compactMap { namespace in
            let label = area.labels.first { $0.uuid == namespace.uuid.bytes }
            let finding: String
            if let label {
                guard label.range != namespace.range else { return nil }
                finding = "\(namespace.dev) is not where its label says"
            } else {
                finding = "\(namespace.dev) has no label, and will not be restored"
            }
            return Check(
                "label-namespace", .problem, opened.region.dev, finding,
                remedy: "write the labels anew for what stands: iopmemctl labels init"
                    + " \(opened.region.device) --force")
        }
    }

    /// The raw bytes of a label area, or of what is in its place.
    public func dumpLabels(of target: LabelTarget) throws(IopmemError) -> [UInt8] {
        let opened = try openToLook(target, "dump the labels of")
        defer { opened.close() }
        return try opened.bytes()
    }

    private func openToLook(
        _ target: LabelTarget, _ deed: String
    ) throws(IopmemError) -> LabelledRegion {
        let region = try labelRegion(of: target.address, bar: target.bar)
        // The region's node is root's.
        try requirePrivilege(for: "\(deed) \(region.dev)")
        return try openLocked(region)
    }

    /// After a bind: what `restore` would bring back. Never a reason to fail.
    func tellLabels(of device: Device) throws(IopmemError) {
        for region in try Inventory(root: host.root).regions(of: device.address) {
            do throws(IopmemError) {
                let opened = try open(region)
                defer { opened.close() }
                guard let area = try opened.area() else { continue }
                let names = area.entries.filter(\.hasPlainName).map(\.label.name)
                    .filter { !$0.isEmpty }
                listener.note(
                    "\(region.dev) has labels of \(area.entries.count) namespaces"
                        + (names.isEmpty ? "" : " (\(names.joined(separator: ", ")))")
                        + "; bring them back: iopmemctl restore \(device.address)")
            } catch {
                listener.warn(error.message)
            }
        }
    }
}

extension LabelledRegion {
    /// All of the area.
    func bytes() throws(IopmemError) -> [UInt8] {
        do throws(Errno) {
            return try control.read(count: LabelFormat.areaSize, at: 0)
        } catch {
            throw IopmemError(error, "cannot read the labels of \(region.dev)")
        }
    }
}

extension LabelSummary {
    init(_ area: LabelArea, _ region: Region) {
        self.init(
            uuid: NamespaceUUID(bytes: area.uuid), region: region.dev, device: region.device,
            bar: region.bar, version: LabelFormat.version, sequence: area.sequence)
    }
}

extension Check {
    /// An area that is not there or cannot be read.
    fileprivate init(_ reading: LabelReading, _ region: Region, namespaces: [Namespace]) {
        guard case .refused(let refusal) = reading else {
            let standing = namespaces.first { $0.offset < UInt64(LabelFormat.areaSize) }
            self.init(
                "label-area", .problem, region.dev,
                region.labelSize > 0 ? "the label area is gone" : "there is no label area",
                remedy: standing.map {
                    "\($0.dev) is in its place: iopmemctl destroy \($0.dev), then iopmemctl labels"
                        + " init \(region.device)"
                } ?? "make one: iopmemctl labels init \(region.device)")
            return
        }
        let error = IopmemError(refusal, region)
        self.init("label-area", .problem, region.dev, refusal.sentence, remedy: error.remedy)
    }

    /// Something about the index blocks.
    fileprivate init(_ finding: LabelArea.IndexFinding, _ region: Region) {
        let again =
            "iopmemctl labels dump \(region.device) --to FILE; iopmemctl labels restore"
            + " \(region.device) --from FILE"
        switch finding {
        case .interrupted:
            self.init(
                "label-index", .warning, region.dev, finding.sentence,
                remedy: "none needed: the next change writes both index blocks")
        case .damaged:
            self.init(
                "label-index", .problem, region.dev, finding.sentence,
                remedy: "no label is lost; write both index blocks anew: \(again)")
        case .foreign:
            self.init(
                "label-index", .problem, region.dev, finding.sentence,
                remedy: "find out whose data those are; to write the labels over them: \(again)"
                    + " --force")
        }
    }
}
