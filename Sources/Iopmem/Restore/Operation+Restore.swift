// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import Logging
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
    /// functions that are bound or that a file describes.
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
    /// Brings the namespaces back that labels, and files in /etc/iopmem, describe:
    /// at the same place, with the same UUID, mode and name, and the same number
    /// where it is free. What stands already is left alone.
    ///
    /// One that cannot be restored is reported and does not keep the others from
    /// it. A function that was bound for this is released again if nothing came of
    /// it, unless a file describes it.
    public func restore(_ request: RestoreRequest) throws(IopmemError) -> RestoreOutcome {
        try recordingFailure(of: request.address?.journalFields ?? [:], unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptRestore(request)
        }
    }

    private func attemptRestore(_ request: RestoreRequest) throws(IopmemError) -> RestoreOutcome {
        // udev may ask for one card twice, since a driver that was loaded for one asks for all.
        var lock: (any MachineLock)?
        if !request.dryRun, host.isPrivileged {
            host.holdSignals()
            lock = try host.lockMachine(until: Deadline(in: patience * 4))
        }
        defer { withExtendedLifetime(lock) {} }
        let folder = try CardFolder(root: host.root)
        guard let address = request.address else {
            return try restoreAll(request, folder)
        }
        let device = try DeviceList(root: host.root).device(at: address)
        let card = try card(of: device, in: folder)
        if card == nil, let complaint = folder.entries.flatMap(\.complaints).first {
            throw IopmemError(
                .failed, "cannot tell whether a file describes \(address)", because: complaint,
                remedy: "mend the file; to see all: iopmemctl config check")
        }
        return try restore(device, card, request)
    }

    /// Whether nobody has what a file says is ours.
    private func checkFree(
        _ device: Device, _ card: ConfiguredCard?, _ request: BindRequest
    ) throws(IopmemError) {
        do throws(IopmemError) {
            try checkBindable(device, request)
        } catch {
            guard error.code == .busy, card != nil, hasInitramfsHook else { throw error }
            var told = error
            told.remedy =
                (error.remedy.map { "\($0); " } ?? "")
                + "if the driver was faster at boot, bring the initramfs up to date:"
                + " update-initramfs -u"
            throw told
        }
    }

    /// The file about a card.
    private func card(
        of device: Device, in folder: CardFolder
    ) throws(IopmemError) -> ConfiguredCard? {
        let identity = CardIdentity(device, root: host.root)
        guard let entry = try folder.entry(for: identity, at: device.address),
            let file = entry.reading.file
        else { return nil }
        return ConfiguredCard(path: entry.path, file: file)
    }

    private func restore(
        _ device: Device, _ card: ConfiguredCard?, _ request: RestoreRequest
    ) throws(IopmemError) -> RestoreOutcome {
        let address = device.address
        let binding = BindRequest(
            address: address, bar: card?.file.bar, media: card?.file.media ?? "volatile",
            resize: card?.file.resizeBar, force: request.force,
            allowsSideEffects: card?.file.allowsSideEffects ?? false)
        if device.isBound {
            if let card { try bindAnew(device, binding, card, request) }
            return try restore(on: address, card, request, then: recordRestored)
        }
        try checkFree(device, card, binding)
        if request.dryRun {
            tellPlan(device, binding)
            listener.note("would restore what its labels describe")
            for namespace in card?.file.namespaces ?? [] {
                listener.note("would restore \(namespace.phrase) of \(card?.path ?? "")")
            }
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
                // A file says what the memory is; without one, the labels remember.
                if card == nil { try bindAsLabelled(bound, binding, control, &rollback) }
                // Undone with the bind if it is interrupted, so nothing is written down yet.
                let outcome = try restore(on: address, card, request) { _ in }
                // A card that a file describes shall be bound, with namespaces or without.
                guard !outcome.restored.isEmpty || card != nil else {
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

    /// Cards that are bound, and cards that a file describes.
    private func restoreAll(
        _ request: RestoreRequest, _ folder: CardFolder
    ) throws(IopmemError) -> RestoreOutcome {
        var outcome = RestoreOutcome()
        for complaint in folder.entries.flatMap(\.complaints) {
            note(
                IopmemError(.failed, complaint, remedy: "mend the file; nothing in it is believed"),
                of: [:], request, in: &outcome)
        }
        for device in try DeviceList(root: host.root).devices {
            do throws(IopmemError) {
                let card = try card(of: device, in: folder)
                guard device.isBound || card != nil else { continue }
                outcome.add(try restore(device, card, request))
            } catch {
                guard error.code != .interrupted, error.code != .permission else {
                    throw interruption(error, after: outcome)
                }
                note(error, of: device.address.journalFields, request, in: &outcome)
            }
        }
        return outcome
    }

    /// Keeps a failure that does not end everything, and writes it down.
    private func note(
        _ error: IopmemError, of subject: Logger.Metadata, _ request: RestoreRequest,
        in outcome: inout RestoreOutcome
    ) {
        if !request.dryRun { recordFailure(error, subject) }
        outcome.failures.append(error)
    }

    /// A card that the kernel bound by itself, because its driver was loaded, is
    /// not bound as its file wants it. That can be mended while nothing stands.
    private func bindAnew(
        _ device: Device, _ binding: BindRequest, _ card: ConfiguredCard, _ request: RestoreRequest
    ) throws(IopmemError) {
        let inventory = try Inventory(root: host.root)
        let regions = inventory.regions(of: device.address)
        let isOtherwise = regions.contains {
            $0.media != binding.wantedMedia || $0.bar != binding.bar ?? $0.bar
        }
        let isOtherSize = try barToResize(binding, of: device) != nil
        guard isOtherwise || isOtherSize else { return }
        guard !inventory.namespaces.contains(where: { $0.device == device.address }) else {
            return listener.warn(
                "\(device.address) is not bound as \(card.path) says, and has namespaces; what"
                    + " differs is left until it is bound anew")
        }
        guard !request.dryRun else {
            return listener.note("would bind \(device.address) anew, as \(card.path) says")
        }
        try requirePrivilege(for: "bind \(device.address) anew")
        listener.step("bind \(device.address) anew, as \(card.path) says")
        try withRollback(telling: listener) { rollback throws(IopmemError) in
            let (control, _) = try openDriver(&rollback)
            defer { control.close() }
            // It stays reserved: its ordinary driver must not get it in between.
            let restore = self
            rollback.add("bind \(device.address) as it was") { () throws(IopmemError) in
                guard restore.currentDriver(of: device) == nil else { return }
                try restore.write(
                    "\(device.address)", to: "/sys/bus/pci/drivers_probe",
                    purpose: "let the kernel probe \(device.address)")
            }
            try write(
                "\(device.address)", to: "\(DriverFacts.sysfsPath)/unbind",
                purpose: "unbind \(device.address) from iopmem")
            let free = try DeviceList(root: host.root).device(at: device.address)
            try checkEligible(free, binding)
            _ = try bind(free, binding, control, &rollback)
        }
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
        on address: PCIAddress, _ card: ConfiguredCard?, _ request: RestoreRequest,
        then done: (Namespace) -> Void
    ) throws(IopmemError) -> RestoreOutcome {
        try requirePrivilege(for: "restore the namespaces of \(address)")
        host.holdSignals()
        var outcome = RestoreOutcome()
        let regions = try Inventory(root: host.root).regions(of: address)
        for failure in card?.homeless(among: regions, of: address) ?? [] {
            note(failure, of: address.journalFields, request, in: &outcome)
        }
        for region in regions {
            do throws(IopmemError) {
                try restore(
                    in: region, isOnly: regions.count == 1, card, request, &outcome, then: done)
            } catch {
                guard error.code != .interrupted else {
                    throw interruption(error, after: outcome)
                }
                note(error, of: region.journalFields, request, in: &outcome)
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
        in region: Region, isOnly: Bool, _ card: ConfiguredCard?, _ request: RestoreRequest,
        _ outcome: inout RestoreOutcome, then done: (Namespace) -> Void
    ) throws(IopmemError) {
        var opened = try openLocked(region)
        defer { opened.close() }
        let configured = card?.namespaces(in: region, isOnly: isOnly) ?? []
        // Where a file says that a namespace stands in the first bytes, they are its data, which
        // whoever may write to it can make look like labels.
        let isData = configured.contains { $0.offset < UInt64(LabelFormat.areaSize) }
        guard !isData, let area = try opened.area() else {
            listener.step("\(region.dev) has no label area")
            let lost = configured.map { namespace in
                LostNamespace(
                    label: Label(namespace, media: region.media), phrase: namespace.phrase,
                    makeFilesystem: namespace.makeFilesystem, publish: namespace.publish)
            }
            return try restore(lost, in: opened, request, &outcome, then: done)
        }
        if let card, !configured.isEmpty {
            listener.warn(
                "\(region.dev) has labels, which win: the namespaces in \(card.path) are not looked"
                    + " at")
        }
        if !request.dryRun { try opened.claim() }
        if let finding = area.indexFinding { listener.warn("\(region.dev): \(finding.sentence)") }
        for sentence in area.damages.map(\.sentence) + area.objections.map(\.sentence) {
            note(
                IopmemError(
                    .failed, "\(region.dev): \(sentence)",
                    remedy: "look at it: iopmemctl labels check \(region.device)"),
                of: region.journalFields, request, in: &outcome)
        }
        let objected = Set(area.objections.map(\.entry.slot))
        let lost = area.entries.filter { !objected.contains($0.slot) }.map {
            LostNamespace(label: $0.label, phrase: $0.phrase)
        }
        try restore(lost, in: opened, request, &outcome, then: done)
    }

    private func restore(
        _ lost: [LostNamespace], in opened: LabelledRegion, _ request: RestoreRequest,
        _ outcome: inout RestoreOutcome, then done: (Namespace) -> Void
    ) throws(IopmemError) {
        let region = opened.region
        var isToldOfCache = false
        for namespace in lost {
            try checkpoint()
            do throws(IopmemError) {
                if let standing = try standing(namespace, opened) {
                    outcome.standing.append(standing)
                    continue
                }
                if request.dryRun {
                    listener.note("would restore \(namespace.phrase) of \(region.dev)")
                    continue
                }
                if region.isCachedByPlatform, !isToldOfCache { warnAboutCache(region) }
                isToldOfCache = true
                let restored = try bringBack(namespace, opened)
                done(restored)
                outcome.restored.append(restored)
            } catch {
                guard error.code != .interrupted else { throw error }
                var subject = region.journalFields
                subject["uuid"] = NamespaceUUID(bytes: namespace.label.uuid).map { "\($0)" }
                note(error, of: subject, request, in: &outcome)
            }
        }
    }

    /// The namespace, if it stands; fails if it stands elsewhere.
    private func standing(
        _ lost: LostNamespace, _ opened: LabelledRegion
    ) throws(IopmemError) -> Namespace? {
        let label = lost.label
        let found = try Inventory(root: host.root).namespaces.first {
            $0.uuid.bytes == label.uuid
        }
        guard let found else { return nil }
        if found.region == opened.region.dev, found.range == label.range { return found }
        throw IopmemError(
            .failed, "cannot restore \(lost.phrase) of \(opened.region.dev)",
            because: "\(found.dev) on \(found.device) has its UUID, at offset"
                + " \(ByteSize.exact(found.offset)); is one card a copy of the other?",
            remedy: "unbind the other card: iopmemctl unbind \(found.device)")
    }

    private func bringBack(
        _ lost: LostNamespace, _ opened: LabelledRegion
    ) throws(IopmemError) -> Namespace {
        let label = lost.label
        let failure = "cannot restore \(lost.phrase) of \(opened.region.dev)"
        guard let mode = DriverNumber.modeWord(label.mode).map(Namespace.Mode.init) else {
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
        if label.map == DriverNumber.map("mem") { try checkMemory(label.size, mode) }
        let isNumberFree =
            label.number > 0
            && !inventory.namespaces(in: opened.region).contains { $0.id == label.number }
        let watch = try host.watchNodes()
        listener.step("restore \(lost.phrase) of \(opened.region.dev)")
        let place: NamespacePlace
        do throws(DriverRefusal) {
            place = try opened.control.create(
                NamespaceRequest(
                    mode: label.mode, map: label.map, offset: label.offset, length: label.size,
                    id: isNumberFree ? label.number : nil, uuid: label.uuid, name: label.name,
                    publish: lost.publish))
        } catch {
            throw IopmemError(error, failure)
        }
        let dev = "\(opened.region.dev)n\(place.id)"
        return try withRollback(telling: listener) { rollback throws(IopmemError) in
            // Else it would stand the next time, and what failed now would not be tried again.
            if mode != .p2pdma {
                let restore = self
                let region = opened.region
                let removal = NamespaceRemoval(id: place.id, uuid: label.uuid)
                rollback.add("destroy \(dev)") { () throws(IopmemError) in
                    try restore.takeBack(removal, dev, region)
                }
            }
            try watch.wait(for: dev, subsystem: mode.subsystem, until: Deadline(in: patience))
            let made = try Inventory(root: host.root).namespace(named: dev, root: host.root)
            if let type = lost.makeFilesystem { try makeFilesystem(type, on: made) }
            return made
        }
    }

    /// Where a power cut took the one that was there. What is recognised stays.
    private func makeFilesystem(_ type: String, on namespace: Namespace) throws(IopmemError) {
        let found: [Signature]
        do throws(Errno) {
            found = try host.signatures(onNode: namespace.path)
        } catch {
            throw IopmemError(error, "cannot look for data on \(namespace.path)")
        }
        guard found.isEmpty else {
            let list = found.map(\.phrase).joined(separator: " and ")
            return listener.step("\(list) stands on \(namespace.dev); nothing is made over it")
        }
        listener.step("make \(type) on \(namespace.dev)")
        try host.makeFilesystem(type, on: namespace.path)
        record("made \(type) on \(namespace.dev)", namespace)
    }
}
