// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem

/// Which functions, and how they are bound.
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
}
