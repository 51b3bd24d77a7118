// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

extension Operation {
    /// Unbinds a function from iopmem; its namespaces go, its ordinary driver,
    /// if it has one, gets it back. Fails with `.busy` while one is held, unless
    /// `revoke` says that it shall be taken away from its users, who get EIO and
    /// SIGBUS; `agree` is then given those that are held, and throws if the user
    /// does not want it after all.
    ///
    /// A function that is not bound to iopmem is left as it is.
    public func unbind(
        _ address: PCIAddress, revoke: Bool = false, dryRun: Bool,
        agree: ([Namespace]) throws(IopmemError) -> Void = { _ throws(IopmemError) in }
    ) throws(IopmemError) -> Device {
        try recordingFailure(of: address.journalFields, unless: dryRun) {
            () throws(IopmemError) in
            try attemptUnbind(address, revoke: revoke, dryRun: dryRun, agree: agree)
        }
    }

    func attemptUnbind(
        _ address: PCIAddress, revoke: Bool = false, dryRun: Bool = false,
        agree: ([Namespace]) throws(IopmemError) -> Void = { _ throws(IopmemError) in }
    ) throws(IopmemError) -> Device {
        let device = try DeviceList(root: host.root).device(at: address)
        guard device.isBound else {
            listener.note("\(address) is not bound to iopmem")
            return device
        }
        if dryRun {
            try tellPlan(unbinding: device, revoke: revoke)
            return device
        }
        try requirePrivilege(for: "unbind \(address)")
        if revoke {
            let usage = BlockUsage(host: host)
            let held = try namespaces(of: device).map(usage.fill).filter { !$0.losers.isEmpty }
            if !held.isEmpty { try agree(held) }
        }
        host.holdSignals()
        try checkpoint()
        let gone = try namespaces(of: device)
        try withRollback(telling: listener) { rollback throws(IopmemError) in
            let (control, _) = try openDriver(&rollback)
            // Until it is closed nobody can make a namespace on the device.
            defer { control.close() }
            try retire(device, control, revoke: revoke)
            for namespace in gone {
                record("destroyed \(namespace.dev), leaving its data", namespace)
            }
            try release(device)
        }
        record("unbound \(address)", address)
        try tellFile(about: device)
        return try DeviceList(root: host.root).device(at: address)
    }

    private func tellPlan(unbinding device: Device, revoke: Bool) throws(IopmemError) {
        let usage = BlockUsage(host: host)
        let filled = try namespaces(of: device).map(usage.fill)
        let held = filled.flatMap { namespace in
            namespace.holders.filter { !$0.isProbe }.map { (namespace, $0) }
        }
        guard held.isEmpty || revoke else {
            throw IopmemError(
                .busy, "cannot unbind \(device.address)",
                because: held.map { "\($0.0.dev) is \($0.1.sentence)" }.joined(separator: "; "),
                remedy: held.compactMap(\.1.remedy).first ?? "end that use, then try again")
        }
        for namespace in filled {
            listener.note(
                "would destroy \(namespace.dev), leaving its data"
                    + namespace.losers.map { ", although it is \($0)" }.joined())
        }
        listener.note("would unbind \(device.address) from iopmem")
    }

    func namespaces(of device: Device) throws(IopmemError) -> [Namespace] {
        try Inventory(root: host.root).namespaces.filter { $0.device == device.address }
    }

    private func retire(
        _ device: Device, _ control: any DriverControl, revoke: Bool
    ) throws(IopmemError) {
        let number = FunctionNumber(device.address)
        let watch = RevocationWatch(
            device.bars.compactMap(\.region), root: host.root, telling: listener)
        let count = try retryingWhileProbed(
            { () throws(IopmemError) in try self.namespaces(of: device) },
            "cannot unbind \(device.address)"
        ) { () throws(DriverRefusal) in
            try control.retire(number, revoke: revoke, watch: watch.look)
        }
        listener.step("\(count) namespaces destroyed, their data left as it was")
    }

    /// From here on there is no way back: the namespaces are gone.
    private func release(_ device: Device) throws(IopmemError) {
        listener.step("unbind \(device.address) from iopmem")
        try write(
            "\(device.address)", to: "\(DriverFacts.sysfsPath)/unbind",
            purpose: "unbind \(device.address) from iopmem")
        if driverOverride(of: device) == DriverFacts.name {
            listener.step("clear driver_override of \(device.address)")
            try write(
                "\n", to: "\(device.sysfsPath)/driver_override",
                purpose: "clear driver_override of \(device.address)")
        }
        listener.step("offer \(device.address) to its ordinary driver")
        try write(
            "\(device.address)", to: "/sys/bus/pci/drivers_probe",
            purpose: "offer \(device.address) to its ordinary driver")
    }

    /// Makes a call that the driver refuses while a node is open, again and
    /// again as long as the only ones who have it open are udev's workers, who
    /// look at every new or changed disk for a moment.
    func retryingWhileProbed<Result>(
        _ namespaces: () throws(IopmemError) -> [Namespace], _ failure: String,
        _ call: () throws(DriverRefusal) -> Result
    ) throws(IopmemError) -> Result {
        let deadline = Deadline(in: patience)
        var quietAttempts = 0
        while true {
            let refusal: DriverRefusal
            do throws(DriverRefusal) {
                return try call()
            } catch {
                refusal = error
            }
            guard refusal.errno == .resourceBusy else { throw IopmemError(refusal, failure) }
            let usage = BlockUsage(host: host)
            let holders = try namespaces().flatMap { namespace in
                usage.holders(of: namespace).map { (namespace, $0) }
            }
            let lasting = holders.filter { !$0.1.isProbe }
            // Nobody is seen any more: the probe ended between the call and the
            // look. A holder that cannot be seen, in the kernel or in another
            // mount namespace, is still there the next times.
            quietAttempts += holders.isEmpty ? 1 : 0
            guard lasting.isEmpty, quietAttempts < 3, !deadline.hasPassed else {
                throw busy(failure, lasting.isEmpty ? holders : lasting, refusal)
            }
            listener.step("wait for udev to finish looking at it")
            try host.waitForUdev(until: deadline)
            try checkpoint()
        }
    }

    private func busy(
        _ failure: String, _ holders: [(Namespace, Namespace.Holder)], _ refusal: DriverRefusal
    ) -> IopmemError {
        guard !holders.isEmpty else {
            return IopmemError(
                refusal, failure, remedy: "find who has it open: fuser -vm, lsof; then try again")
        }
        let list = holders.map { "\($0.0.dev) is \($0.1.sentence)" }
        let mount = holders.first { $0.1.kind == "mount" }
        return IopmemError(
            .busy, failure, because: list.joined(separator: "; "),
            remedy: mount?.1.remedy ?? "end that use, then try again")
    }
}

extension Namespace {
    /// Who would lose it, after "it is"; udev's probes have nothing to lose.
    public var losers: [String] { holders.filter { !$0.isProbe }.map(\.sentence) }
}

extension Namespace.Holder {
    /// udevd's workers, and the program that a rule may run, open every disk
    /// for a moment.
    var isProbe: Bool {
        kind == "process" && ["(udev-worker)", "systemd-udevd", "udevd", "blkid"].contains(name)
    }

    /// What ends a mount or an export; nil for others.
    var remedy: String? {
        switch (kind, pid) {
        case ("mount", nil): "umount \(name)"
        case ("share", _):
            Share.uuid(in: name).map { "iopmemctl unshare \($0)" }
                ?? "end the export of \(TargetTree.subsystem(name)) with what set it up"
        case ("mount", let pid?): "nsenter -m -t \(pid) umount \(name), or end the container"
        default: nil
        }
    }

    /// After "iopmem0n1 is".
    var sentence: String {
        switch kind {
        case "mount", "swap", "share": description
        case "process": "open in \(name) (pid \(pid ?? 0))"
        default: "held by \(description)"
        }
    }
}
