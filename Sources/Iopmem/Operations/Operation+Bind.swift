// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// What the user wants of a bind.
public struct BindRequest: Sendable, Equatable {
    /// Which function.
    public var address: PCIAddress
    /// Only this BAR; nil for every eligible one.
    public var bar: Int?
    /// `volatile` or `persistent`; nil for what it is, or `volatile`.
    public var media: String?
    /// Give the BAR this size in bytes first (resizable BAR); nil to leave it.
    public var resize: UInt64?
    /// Accept BARs that are not prefetchable, and take the function from a
    /// driver that is bound to it.
    public var force: Bool
    /// Accept BARs that are not prefetchable, and no more.
    public var allowsSideEffects: Bool
    /// Write it down, so that it is done again at each boot.
    public var persist: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(
        address: PCIAddress, bar: Int? = nil, media: String? = nil, resize: UInt64? = nil,
        force: Bool = false, allowsSideEffects: Bool = false, persist: Bool = false,
        dryRun: Bool = false
    ) {
        self.address = address
        self.bar = bar
        self.media = media
        self.resize = resize
        self.force = force
        self.allowsSideEffects = allowsSideEffects || force
        self.persist = persist
        self.dryRun = dryRun
    }
}

extension BindRequest {
    /// What it is bound with.
    var wantedMedia: String { media ?? "volatile" }
}

extension Operation {
    /// Binds a function to iopmem and returns it with its regions; on failure,
    /// and on Ctrl-C, its old driver is back.
    ///
    /// A function that is bound already is left as it is.
    public func bind(_ request: BindRequest) throws(IopmemError) -> Device {
        try recordingFailure(of: request.address.journalFields, unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptBind(request)
        }
    }

    func attemptBind(_ request: BindRequest) throws(IopmemError) -> Device {
        let device = try DeviceList(root: host.root).device(at: request.address)
        if device.isBound {
            try requireRegion(request.bar, of: device)
            try requireSize(request, of: device)
            try requireSameMedia(request, device)
            listener.note("\(device.address) is bound to iopmem already")
            if request.persist { try writeDown(request, device) }
            return device
        }
        try checkBindable(device, request)
        if request.dryRun {
            tellPlan(device, request)
            if request.persist { try writeDown(request, device) }
            return device
        }
        try requirePrivilege(for: "bind \(device.address)")
        host.holdSignals()
        let bound = try withRollback(telling: listener) { rollback throws(IopmemError) in
            let (control, _) = try openDriver(&rollback)
            defer { control.close() }
            let bound = try bind(device, request, control, &rollback)
            try tellLabels(of: bound)
            if request.persist { try writeDown(request, device) }
            return bound
        }
        record("bound \(bound.address), media \(request.wantedMedia)", bound.address)
        return bound
    }

    /// The order of the checks is part of the promise: a disk that is in use is
    /// called busy, also where it could not be bound anyway.
    func checkBindable(_ device: Device, _ request: BindRequest) throws(IopmemError) {
        let uses = DeviceInUse(host: host).uses(of: device)
        guard uses.isEmpty else {
            throw IopmemError(
                .busy, "\(device.address) is in use through its driver \(device.driver ?? "")",
                because: uses.joined(separator: "; "),
                remedy: "end that use first; --force does not override it")
        }
        try checkEligible(device, request)
        if let driver = device.driver, !request.force {
            throw IopmemError(
                .busy, "\(device.address) has the driver \(driver)",
                because: "it would have to give the device up",
                remedy: "add --force if iopmem shall take it")
        }
    }

    func checkEligible(_ device: Device, _ request: BindRequest) throws(IopmemError) {
        let resized = try barToResize(request, of: device)
        func accepts(_ problem: BarProblem?) -> Bool {
            guard let problem else { return true }
            return problem == .unknown || resized != nil && problem.mayGoWithAnotherSize
                || request.allowsSideEffects && problem.yieldsToForce
        }
        guard !device.isBridge else {
            throw IopmemError(
                .unsupported, "\(device.address) cannot be bound", because: "it is a bridge",
                remedy: "choose a device with memory: iopmemctl devices")
        }
        guard let index = request.bar else {
            guard !device.bars.contains(where: { accepts($0.problem) }) else { return }
            let reasons = device.bars.map { "BAR \($0.index) \($0.problem?.reason ?? "")" }
            throw IopmemError(
                .unsupported, "no BAR of \(device.address) can be a region",
                because: reasons.isEmpty ? "it has none" : reasons.joined(separator: "; "),
                remedy: "choose another device: iopmemctl devices")
        }
        guard let bar = device.bars.first(where: { $0.index == index }) else {
            throw IopmemError(
                .unsupported, "BAR \(index) of \(device.address) cannot be a region",
                because: "the device does not implement it",
                remedy: "show its BARs: iopmemctl devices \(device.address)")
        }
        guard accepts(bar.problem) else {
            throw IopmemError(
                .unsupported, "BAR \(index) of \(device.address) cannot be a region",
                because: bar.problem?.reason,
                remedy: "show its BARs: iopmemctl devices \(device.address)")
        }
    }

    private func requireRegion(_ bar: Int?, of device: Device) throws(IopmemError) {
        guard let bar, !device.bars.contains(where: { $0.index == bar && $0.region != nil }) else {
            return
        }
        throw IopmemError(
            .failed, "\(device.address) is bound to iopmem already, without BAR \(bar)",
            remedy: "bind it anew: iopmemctl unbind \(device.address); iopmemctl bind"
                + " \(device.address) --bar \(bar)")
    }

    func tellPlan(_ device: Device, _ request: BindRequest) {
        if let driver = device.driver {
            listener.note("would unbind \(device.address) from \(driver)")
        }
        let bars = device.bars.filter { bar in
            (request.bar ?? bar.index) == bar.index
                && (bar.mayBeRegion
                    || request.allowsSideEffects && bar.problem?.yieldsToForce == true)
        }
        let list = bars.map { "BAR \($0.index) (\(ByteSize.display($0.size)))" }
        if let size = request.resize {
            listener.note("would give the BAR \(ByteSize.display(size))")
        }
        listener.note(
            "would bind \(device.address) to iopmem with \(list.joined(separator: ", "))")
    }

    /// The steps, each with its undoing.
    func bind(
        _ device: Device, _ request: BindRequest, _ control: any DriverControl,
        _ rollback: inout Rollback
    ) throws(IopmemError) -> Device {
        guard let media = DriverNumber.media(request.wantedMedia) else {
            throw IopmemError(.invalid, "unknown kind of media: \(request.wantedMedia)")
        }
        try checkpoint()
        // Loading the driver has made the kernel bind what was reserved for it, as it likes.
        if currentDriver(of: device) == DriverFacts.name {
            listener.step("unbind \(device.address), which the kernel has bound meanwhile")
            try write(
                "\(device.address)", to: "\(DriverFacts.sysfsPath)/unbind",
                purpose: "unbind \(device.address) from iopmem")
        }
        listener.step("prepare the driver for \(device.address)")
        do throws(DriverRefusal) {
            try control.prepareBind(
                BindPreparation(
                    function: FunctionNumber(device.address),
                    barMask: request.bar.map { 1 << UInt8($0) } ?? DriverNumber.allBars,
                    media: media, force: request.allowsSideEffects))
        } catch {
            throw IopmemError(error, "cannot bind \(device.address)")
        }
        let watch = try host.watchNodes()
        try takeFromDriver(device, &rollback)
        try resize(device, request, &rollback)
        try overrideDriver(of: device, &rollback)
        try probe(device, control, &rollback)
        return try awaitRegions(of: device, watch)
    }

    private func takeFromDriver(
        _ device: Device, _ rollback: inout Rollback
    ) throws(IopmemError) {
        try checkpoint()
        guard let driver = device.driver else { return }
        let restore = self
        rollback.add("give \(device.address) back to \(driver)") { () throws(IopmemError) in
            try restore.giveBack(device, to: driver)
        }
        listener.step("unbind \(device.address) from \(driver)")
        try write(
            "\(device.address)", to: "/sys/bus/pci/drivers/\(driver)/unbind",
            purpose: "unbind \(device.address) from \(driver)")
    }

    private func giveBack(_ device: Device, to driver: String) throws(IopmemError) {
        guard currentDriver(of: device) != driver else { return }
        try write(
            "\(device.address)", to: "/sys/bus/pci/drivers_probe",
            purpose: "give \(device.address) back to \(driver)")
        // drivers_probe succeeds also where nothing binds.
        guard currentDriver(of: device) == driver else {
            throw IopmemError(
                .failed, "\(driver) did not take \(device.address) back",
                remedy: "bind it by hand: echo \(device.address) >"
                    + " /sys/bus/pci/drivers/\(driver)/bind")
        }
    }

    private func overrideDriver(
        of device: Device, _ rollback: inout Rollback
    ) throws(IopmemError) {
        try checkpoint()
        let path = "\(device.sysfsPath)/driver_override"
        let old = driverOverride(of: device)
        let restore = self
        rollback.add("restore driver_override of \(device.address)") { () throws(IopmemError) in
            guard restore.driverOverride(of: device) != old else { return }
            try restore.write(
                old ?? "\n", to: path, purpose: "restore driver_override of \(device.address)")
        }
        listener.step("write \(DriverFacts.name) to \(path)")
        try write(
            DriverFacts.name, to: path, purpose: "reserve \(device.address) for \(DriverFacts.name)"
        )
    }

    private func probe(
        _ device: Device, _ control: any DriverControl, _ rollback: inout Rollback
    ) throws(IopmemError) {
        try checkpoint()
        let restore = self
        rollback.add("unbind \(device.address) from iopmem") { () throws(IopmemError) in
            guard restore.currentDriver(of: device) == DriverFacts.name else { return }
            try restore.write(
                "\(device.address)", to: "\(DriverFacts.sysfsPath)/unbind",
                purpose: "unbind \(device.address) from iopmem")
        }
        listener.step("probe \(device.address)")
        try write(
            "\(device.address)", to: "/sys/bus/pci/drivers_probe",
            purpose: "let the kernel probe \(device.address)")
        let result: BindResult
        do throws(DriverRefusal) {
            result = try control.bindResult()
        } catch {
            throw IopmemError(
                .failed, "iopmem was not asked about \(device.address)",
                because: error.explanation,
                remedy: "see what the kernel said: dmesg | tail")
        }
        guard result.error == nil, currentDriver(of: device) == DriverFacts.name else {
            throw refusal(of: result, device)
        }
    }

    private func refusal(of result: BindResult, _ device: Device) -> IopmemError {
        let reasons = result.bars.enumerated()
            .filter { $0.element.error != nil && $0.element.error != .noSuchAddressOrDevice }
            .map { "BAR \($0.offset) \($0.element.reason)" }
        let parts = [result.reason].filter { !$0.isEmpty } + reasons
        let code: IopmemError.Code =
            switch result.error {
            case .resourceBusy: .busy
            case .noMemory, nil: .failed
            default: .unsupported
            }
        return IopmemError(
            code, "iopmem did not take \(device.address)",
            because: parts.isEmpty ? "the kernel gives no reason" : parts.joined(separator: "; "),
            remedy: result.bars.contains { $0.error == .outOfRange }
                ? DirectMap.widening : "see what the kernel said: dmesg | tail")
    }

    private func awaitRegions(
        of device: Device, _ watch: any NodeWatch
    ) throws(IopmemError) -> Device {
        for region in try Inventory(root: host.root).regions(of: device.address) {
            listener.step("wait for \(region.path)")
            try wait(for: region.dev, subsystem: "iopmem", with: watch)
        }
        try checkpoint()
        return try DeviceList(root: host.root).device(at: device.address)
    }

    func currentDriver(of device: Device) -> String? {
        host.root.linkName("\(device.sysfsPath)/driver")
    }

    /// The kernel shows "(null)" where there is none.
    func driverOverride(of device: Device) -> String? {
        let text = host.root.optionalText("\(device.sysfsPath)/driver_override") ?? ""
        return text.isEmpty || text == "(null)" ? nil : text
    }
}

extension FunctionNumber {
    init(_ address: PCIAddress) {
        self.init(domain: address.domain, bus: address.bus, devfn: address.devfn)
    }
}
