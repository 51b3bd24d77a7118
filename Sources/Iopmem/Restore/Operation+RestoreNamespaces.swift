// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import Logging
import SystemPackage

/// What stands on a function that is bound.
extension Operation {
    /// Writes down that it is back.
    func recordRestored(_ namespace: Namespace) {
        record(namespace.creation("restored"), namespace)
    }

    /// The namespaces of a function that is bound; `done` hears of each that is back.
    func restore(
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

    /// Keeps a failure that does not end everything, and writes it down.
    func note(
        _ error: IopmemError, of subject: Logger.Metadata, _ request: RestoreRequest,
        in outcome: inout RestoreOutcome
    ) {
        if !request.dryRun { recordFailure(error, subject) }
        outcome.failures.append(error)
    }

    /// What stands is whole and stays.
    func interruption(_ error: IopmemError, after outcome: RestoreOutcome) -> IopmemError {
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
            try wait(for: dev, subsystem: mode.subsystem, with: watch)
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
