// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import SystemPackage

/// What `restore` came to.
public struct RestoreOutcome: Sendable, Equatable {
    /// Namespaces that it brought back.
    public var restored: [Namespace] = []
    /// Namespaces that stood already.
    public var standing: [Namespace] = []
    /// What could not be brought back, and why.
    public var failures: [IopmemError] = []

    /// Nothing was there.
    public init() {}

    mutating func add(_ other: RestoreOutcome) {
        restored += other.restored
        standing += other.standing
        failures += other.failures
    }
}

/// Which namespaces shall come back.
public struct RestoreRequest: Sendable, Equatable {
    /// Those of this function, which is bound if need be; nil for those of all
    /// functions that are bound.
    public var address: PCIAddress?
    /// Take the function from a driver that is bound to it.
    public var force: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(address: PCIAddress? = nil, force: Bool = false, dryRun: Bool = false) {
        self.address = address
        self.force = force
        self.dryRun = dryRun
    }
}

extension Operation {
    /// Brings the namespaces back that labels describe: at the same place, with
    /// the same UUID, mode and name, and the same number where it is free. What
    /// stands already is left alone.
    ///
    /// A label that cannot be restored is reported and does not keep the others
    /// from it. A function that was bound for this is released again if nothing
    /// came of it.
    public func restore(_ request: RestoreRequest) throws(IopmemError) -> RestoreOutcome {
        guard let address = request.address else {
            return try restoreAll(request)
        }
        let device = try DeviceList(root: host.root).device(at: address)
        if device.isBound { return try restore(on: address, request, then: recordRestored) }
        let binding = BindRequest(address: address, force: request.force)
        try checkBindable(device, binding)
        if request.dryRun {
            tellPlan(device, binding)
            listener.note("would restore what its labels describe")
            return RestoreOutcome()
        }
        try requirePrivilege(for: "restore the namespaces of \(address)")
        host.holdSignals()
        let nothing = IopmemError(.notFound, "nothing to restore on \(address)")
        var failed = RestoreOutcome()
        do throws(IopmemError) {
            let outcome = try withRollback(telling: listener) { rollback throws(IopmemError) in
                let (control, _) = try openDriver(&rollback)
                defer { control.close() }
                let bound = try bind(device, binding, control, &rollback)
                try bindAsLabelled(bound, binding, control, &rollback)
                // Undone with the bind if it is interrupted, so nothing is written down yet.
                let outcome = try restore(on: address, request) { _ in }
                guard !outcome.restored.isEmpty else {
                    failed = outcome
                    throw nothing
                }
                return outcome
            }
            record("bound \(address)", address)
            outcome.restored.forEach(recordRestored)
            return outcome
        } catch {
            guard error == nothing else { throw error }
            listener.note("\(address) was bound for nothing and is released again")
            return failed
        }
    }

    private func restoreAll(_ request: RestoreRequest) throws(IopmemError) -> RestoreOutcome {
        var outcome = RestoreOutcome()
        for device in try DeviceList(root: host.root).devices where device.isBound {
            outcome.add(try restore(on: device.address, request, then: recordRestored))
        }
        return outcome
    }

    /// Labels remember whether the memory was called persistent; somebody did
    /// that once, and the card is the same.
    private func bindAsLabelled(
        _ device: Device, _ request: BindRequest, _ control: any DriverControl,
        _ rollback: inout Rollback
    ) throws(IopmemError) {
        var isPersistent = false
        for region in try Inventory(root: host.root).regions(of: device.address) {
            let opened = try open(region)
            defer { opened.close() }
            guard case .area(let area) = try opened.reading(), area.isWhole else { continue }
            let persistent = UInt32(DriverNumber.media("persistent") ?? 1)
            isPersistent =
                isPersistent || area.labels.contains { $0.media == persistent }
        }
        guard isPersistent else { return }
        listener.step("bind \(device.address) again, since its labels say media persistent")
        try write(
            "\(device.address)", to: "\(DriverFacts.sysfsPath)/unbind",
            purpose: "unbind \(device.address) from iopmem")
        var request = request
        request.media = "persistent"
        let free = try DeviceList(root: host.root).device(at: device.address)
        _ = try bind(free, request, control, &rollback)
    }

    private func recordRestored(_ namespace: Namespace) {
        record(namespace.creation("restored"), namespace)
    }

    private func restore(
        on address: PCIAddress, _ request: RestoreRequest, then done: (Namespace) -> Void
    ) throws(IopmemError) -> RestoreOutcome {
        try requirePrivilege(for: "restore the namespaces of \(address)")
        host.holdSignals()
        var outcome = RestoreOutcome()
        for region in try Inventory(root: host.root).regions(of: address) {
            do throws(IopmemError) {
                try restore(in: region, request, &outcome, then: done)
            } catch {
                guard error.code != .interrupted else {
                    throw interruption(error, after: outcome)
                }
                outcome.failures.append(error)
            }
        }
        return outcome
    }

    /// What stands is whole and stays.
    private func interruption(_ error: IopmemError, after outcome: RestoreOutcome) -> IopmemError {
        guard !outcome.restored.isEmpty else { return error }
        return IopmemError(
            .interrupted,
            "interrupted after \(outcome.restored.map(\.dev).joined(separator: ", "))",
            remedy: "restore the rest by the same command", signal: error.signal)
    }

    private func restore(
        in region: Region, _ request: RestoreRequest, _ outcome: inout RestoreOutcome,
        then done: (Namespace) -> Void
    ) throws(IopmemError) {
        var opened = try openLocked(region)
        defer { opened.close() }
        guard let area = try opened.area() else {
            listener.step("\(region.dev) has no label area")
            return
        }
        if !request.dryRun { try opened.claim() }
        if let finding = area.indexFinding { listener.warn("\(region.dev): \(finding.sentence)") }
        for sentence in area.damages.map(\.sentence) + area.objections.map(\.sentence) {
            outcome.failures.append(
                IopmemError(
                    .failed, "\(region.dev): \(sentence)",
                    remedy: "look at it: iopmemctl labels check \(region.device)"))
        }
        let objected = Set(area.objections.map(\.entry.slot))
        var isToldOfCache = false
        for entry in area.entries where !objected.contains(entry.slot) {
            try checkpoint()
            do throws(IopmemError) {
                if let standing = try standing(entry, opened) {
                    outcome.standing.append(standing)
                    continue
                }
                if request.dryRun {
                    listener.note("would restore \(entry.phrase) of \(region.dev)")
                    continue
                }
                if region.isCachedByPlatform, !isToldOfCache { warnAboutCache(region) }
                isToldOfCache = true
                let restored = try bringBack(entry, opened)
                done(restored)
                outcome.restored.append(restored)
            } catch {
                guard error.code != .interrupted else { throw error }
                outcome.failures.append(error)
            }
        }
    }

    /// The namespace of a label, if it stands; fails if it stands elsewhere.
    private func standing(
        _ entry: LabelArea.Entry, _ opened: LabelledRegion
    ) throws(IopmemError) -> Namespace? {
        let label = entry.label
        let found = try Inventory(root: host.root).namespaces.first {
            $0.uuid.bytes == label.uuid
        }
        guard let found else { return nil }
        if found.region == opened.region.dev, found.range == label.range { return found }
        throw IopmemError(
            .failed, "cannot restore \(entry.phrase) of \(opened.region.dev)",
            because: "\(found.dev) on \(found.device) has its UUID, at offset"
                + " \(ByteSize.exact(found.offset)); is one card a copy of the other?",
            remedy: "unbind the other card: iopmemctl unbind \(found.device)")
    }

    private func bringBack(
        _ entry: LabelArea.Entry, _ opened: LabelledRegion
    ) throws(IopmemError) -> Namespace {
        let label = entry.label
        let failure = "cannot restore \(entry.phrase) of \(opened.region.dev)"
        guard let mode = DriverNumber.modeWord(label.mode) else {
            throw IopmemError(
                .unsupported, failure, because: "its mode has the unknown number \(label.mode)")
        }
        let inventory = try Inventory(root: host.root)
        if let taken = inventory.namespaces.first(where: {
            !label.name.isEmpty && $0.name == label.name
        }) {
            throw IopmemError(
                .failed, failure, because: "its name is taken by \(taken.dev)",
                remedy: "destroy that one: iopmemctl destroy \(taken.dev)")
        }
        if label.map == DriverNumber.map("mem") { try checkMemory(label.size) }
        let isNumberFree =
            label.number > 0
            && !inventory.namespaces(in: opened.region).contains { $0.id == label.number }
        let watch = try host.watchNodes()
        listener.step("restore \(entry.phrase) of \(opened.region.dev)")
        let place: NamespacePlace
        do throws(DriverRefusal) {
            place = try opened.control.create(
                NamespaceRequest(
                    mode: label.mode, map: label.map, offset: label.offset, length: label.size,
                    id: isNumberFree ? label.number : nil, uuid: label.uuid, name: label.name))
        } catch {
            throw IopmemError(error, failure)
        }
        let dev = "\(opened.region.dev)n\(place.id)"
        let isBlock = mode == Namespace.Mode.fsdax.rawValue || mode == Namespace.Mode.raw.rawValue
        try watch.wait(
            for: dev, subsystem: isBlock ? "block" : DriverFacts.name,
            until: Deadline(in: patience))
        return try Inventory(root: host.root).namespace(named: dev, root: host.root)
    }
}
