// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import SystemPackage

/// A region whose node is open, with the labels that stand in it.
struct LabelledRegion {
    var region: Region
    let control: any RegionControl
    /// Namespaces of the region, as they stood when it was opened.
    let namespaces: [Namespace]

    /// What the region's first bytes are.
    ///
    /// Where a namespace stands in them they are its data, whatever they look
    /// like.
    func reading() throws(IopmemError) -> LabelReading {
        guard !namespaces.contains(where: { $0.offset < UInt64(LabelFormat.areaSize) }) else {
            return .absent(data: nil)
        }
        do throws(Errno) {
            return try LabelArea.read(regionSize: region.size) { offset, count throws(Errno) in
                try control.read(count: count, at: UInt64(offset))
            }
        } catch {
            throw IopmemError(error, "cannot read the labels of \(region.dev)")
        }
    }

    /// The labels, nil if there is no label area. Fails if they cannot be read.
    func area() throws(IopmemError) -> LabelArea? {
        switch try reading() {
        case .area(let area): return area
        case .refused(let refusal): throw IopmemError(refusal, region)
        case .absent:
            guard region.labelSize == 0 else {
                throw IopmemError(
                    .failed, "the label area of \(region.dev) is gone",
                    because: "the device was reset, or somebody overwrote it",
                    remedy: "look at it: iopmemctl labels dump \(region.device); make a new one"
                        + " for the namespaces that stand: iopmemctl labels init \(region.device)")
            }
            return nil
        }
    }

    /// Tells the driver that there is a label area, so that no namespace can be
    /// made over it. Never taken back: it is the truth.
    mutating func claim() throws(IopmemError) {
        guard region.labelSize == 0 else { return }
        do throws(DriverRefusal) {
            try control.setLabelArea(length: UInt64(LabelFormat.areaSize))
        } catch {
            throw IopmemError(error, "cannot keep the label area of \(region.dev)")
        }
        region.labelSize = UInt64(LabelFormat.areaSize)
    }

    /// Makes these writes, one after the other.
    func commit(_ writes: [LabelWrite]) throws(IopmemError) {
        for write in writes {
            var done = 0
            while done < write.bytes.count {
                let piece = write.bytes[done...].prefix(DriverNumber.maxLabelWrite)
                do throws(DriverRefusal) {
                    try control.writeLabels(Array(piece), at: UInt64(write.offset + done))
                } catch {
                    throw IopmemError(error, "cannot write the labels of \(region.dev)")
                }
                done += piece.count
            }
        }
    }

    /// The extents of labels whose namespaces do not stand.
    func missing(_ area: LabelArea) -> [LabelArea.Entry] {
        area.entries.filter { entry in
            !namespaces.contains { $0.uuid.bytes == entry.label.uuid }
        }
    }

    func close() { control.close() }
}

extension Operation {
    /// Opens a region for a change of its labels or namespaces; other tools wait
    /// until it is closed.
    func openLocked(_ region: Region) throws(IopmemError) -> LabelledRegion {
        let opened = try open(region)
        do throws(Errno) {
            listener.step("lock \(region.path)")
            try opened.control.lock(until: Deadline(in: patience))
        } catch {
            opened.close()
            try checkpoint()
            throw IopmemError(
                error == .resourceTemporarilyUnavailable ? .busy : IopmemError.Code(error),
                "cannot lock \(region.path)",
                because: error == .resourceTemporarilyUnavailable
                    ? "another tool has it locked" : error.description,
                remedy: "find it: fuser -v \(region.path); then try again")
        }
        do throws(IopmemError) {
            // Once more: before the lock somebody else may have changed it.
            let inventory = try Inventory(root: host.root)
            guard let current = inventory.findRegion(named: region.dev) else {
                throw IopmemError(.notFound, "\(region.dev) is gone")
            }
            return LabelledRegion(
                region: current, control: opened.control,
                namespaces: inventory.namespaces(in: current))
        } catch {
            opened.close()
            throw error
        }
    }

    /// Opens a region to look at it.
    func open(_ region: Region) throws(IopmemError) -> LabelledRegion {
        let namespaces = try Inventory(root: host.root).namespaces(in: region)
        do throws(Errno) {
            return LabelledRegion(
                region: region, control: try host.openRegion(region), namespaces: namespaces)
        } catch {
            throw IopmemError(error, "cannot open \(region.path)")
        }
    }

    /// The region of a bound device that a `labels` command means.
    func labelRegion(
        of address: PCIAddress, bar: Int?
    ) throws(IopmemError) -> Region {
        let device = try DeviceList(root: host.root).device(at: address)
        guard device.isBound else {
            throw IopmemError(
                .notFound, "\(address) has no region", because: "it is not bound to iopmem",
                remedy: "bind it: iopmemctl bind \(address)")
        }
        let regions = try Inventory(root: host.root).regions(of: address)
        if let bar {
            if let region = regions.first(where: { $0.bar == bar }) { return region }
            throw IopmemError(
                .notFound, "BAR \(bar) of \(address) is not a region",
                remedy: "show its BARs: iopmemctl devices \(address)")
        }
        guard let only = regions.first else {
            throw IopmemError(.notFound, "\(address) has no region")
        }
        guard regions.count == 1 else {
            let bars = regions.map { "--bar \($0.bar)" }
            throw IopmemError(
                .invalid, "\(address) has \(regions.count) regions",
                remedy: "say which one: \(bars.joined(separator: " or "))")
        }
        return only
    }
}

extension IopmemError {
    /// Labels that cannot be read.
    init(_ refusal: LabelRefusal, _ region: Region) {
        let remedy =
            switch refusal {
            case .future: "use an iopmemctl that knows it; this one leaves the area as it is"
            case .corrupt, .truncated:
                "put a dump back: iopmemctl labels restore \(region.device) --from FILE --force;"
                    + " or give the labels up: iopmemctl labels init \(region.device) --force"
            }
        self.init(
            .failed, "cannot read the labels of \(region.dev)", because: refusal.sentence,
            remedy: remedy)
    }

    /// Labels that cannot be changed.
    init(_ error: LabelChangeError, _ region: Region) {
        let remedy =
            switch error {
            case .full: "destroy a namespace, or make fewer and larger ones"
            case .foreign:
                "if those data are not needed, put the labels back over them: iopmemctl labels"
                    + " dump \(region.device) --to FILE; iopmemctl labels restore"
                    + " \(region.device) --from FILE --force"
            case .exhausted:
                "make the area anew: iopmemctl labels init \(region.device) --force"
            case .objection: "show what there is: iopmemctl labels show \(region.device)"
            }
        self.init(
            .failed, "cannot change the labels of \(region.dev)", because: error.sentence,
            remedy: remedy)
    }
}

extension Label {
    /// The label of a namespace.
    init(_ namespace: Namespace) {
        self.init(
            uuid: namespace.uuid.bytes, name: namespace.name,
            mode: DriverNumber.mode(namespace.mode.rawValue) ?? 0,
            map: DriverNumber.map(namespace.map?.rawValue) ?? 0, offset: namespace.offset,
            size: namespace.size,
            media: UInt32(namespace.media.flatMap { DriverNumber.media($0) } ?? 0),
            number: namespace.id)
    }
}
