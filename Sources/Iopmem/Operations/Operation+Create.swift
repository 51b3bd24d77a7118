// SPDX-License-Identifier: GPL-2.0
import IopmemLabels
import IopmemSystem
import SystemPackage

extension Operation {
    /// Makes a namespace, binding the device first if need be, and returns it
    /// once it can be used; nil for a dry run.
    ///
    /// All or nothing: on failure, and on Ctrl-C, the namespace is gone again,
    /// and the device is unbound again if it was not bound before.
    public func create(_ request: CreateRequest) throws(IopmemError) -> Namespace? {
        try recordingFailure(of: request.journalFields, unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptCreate(request)
        }
    }

    private func attemptCreate(_ request: CreateRequest) throws(IopmemError) -> Namespace? {
        let device = try DeviceList(root: host.root).device(at: request.device)
        // Before a region's lock, as restore takes them.
        let lock = request.persist && !request.dryRun ? try lockFiles() : nil
        defer { withExtendedLifetime(lock) {} }
        try checkName(request.name, on: device)
        try checkMap(of: request)
        if !device.isBound { try checkBindable(device, bindRequest(for: request)) }
        if request.dryRun {
            try tellPlan(device, request)
            return nil
        }
        try requirePrivilege(for: "create a namespace on \(request.device)")
        host.holdSignals()
        let made = try withRollback(telling: listener) { rollback throws(IopmemError) in
            let (control, version) = try openDriver(&rollback)
            defer { control.close() }
            if !device.isBound {
                try requireSupport(for: request, version)
                _ = try bind(device, bindRequest(for: request), control, &rollback)
            }
            let region = try chooseRegion(for: request)
            return try create(request, in: region, version, &rollback)
        }
        if !device.isBound { record("bound \(device.address)", device.address) }
        record(made.creation("created"), made)
        return made
    }

    private func bindRequest(for request: CreateRequest) -> BindRequest {
        BindRequest(address: request.device, bar: request.bar, force: request.force)
    }

    /// Before a device is taken from its driver for nothing. Where a region
    /// stands already, the driver itself is asked, and gives its own reason.
    private func requireSupport(
        for request: CreateRequest, _ version: DriverVersion
    ) throws(IopmemError) {
        func has(_ mask: UInt32, _ number: UInt32?) -> Bool {
            guard let number else { return false }
            return number == 0 || mask & (1 << number) != 0
        }
        guard has(version.modes, DriverNumber.mode(request.mode.rawValue)) else {
            throw IopmemError(
                .unsupported, "cannot create a namespace on \(request.device)",
                because: Self.obstacle(to: request.mode),
                remedy: "choose another, such as --mode fsdax"
                    + (request.mode == .p2pdma ? ", or --mode devdax for mappings and pins" : ""))
        }
        guard has(version.maps, DriverNumber.map(request.map?.rawValue)) else {
            throw IopmemError(
                .unsupported, "cannot create a namespace on \(request.device)",
                because: "the driver \(version.release) has no map \(request.map?.rawValue ?? "")",
                remedy: "--mode raw needs none")
        }
    }

    /// No kernel and no slot changes it, so this is told before anything is done, and of a plan as
    /// well; why is in docs/architecture.md, "Decided, not forgotten", and in the driver's
    /// `check_mode()`, which would refuse it too.
    private func checkMap(of request: CreateRequest) throws(IopmemError) {
        guard request.map == .dev else { return }
        throw IopmemError(
            .unsupported, "cannot create a namespace on \(request.device) with --map dev",
            because: "struct pages cannot live on the device: the kernel counts them with locked"
                + " accesses, which PCIe endpoints do not serve",
            remedy: "use --map mem, or --mode raw, which has no struct pages")
    }

    /// Why a kernel has no such mode: what the driver is built from (`iopmem_modes()` in kmod/main.c).
    private static func obstacle(to mode: Namespace.Mode) -> String {
        switch mode {
        case .p2pdma:
            "mode p2pdma needs Linux 6.2 or newer built with CONFIG_PCI_P2PDMA, and this kernel is not"
        case .fsdax:
            "mode fsdax needs a kernel built with CONFIG_FS_DAX and CONFIG_ZONE_DEVICE"
        case .devdax: "mode devdax needs a kernel built with CONFIG_ZONE_DEVICE"
        default: "the driver cannot do mode \(mode.rawValue) on this kernel"
        }
    }

    /// Before anything is told of a namespace that the driver would refuse.
    private func checkMode(of request: CreateRequest, in region: Region) throws(IopmemError) {
        guard let modes = region.modes, !modes.contains(request.mode) else { return }
        throw IopmemError(
            .unsupported,
            "cannot create a namespace in \(region.dev) (\(region.device) BAR \(region.bar))",
            because: Self.obstacle(to: request.mode),
            remedy: "choose one that it can: "
                + modes.map { "--mode \($0.rawValue)" }.joined(separator: ", "))
    }

    private func checkName(_ name: String, on device: Device) throws(IopmemError) {
        guard !name.isEmpty else { return }
        if let described = try described(device)?.absent.first(where: { $0.name == name }) {
            throw IopmemError(
                .failed, "the name \(name) is taken by \(described.phrase), which is not restored",
                remedy: "choose another name, or bring that namespace back: iopmemctl restore"
                    + " \(device.address)")
        }
        let taken = try Inventory(root: host.root).namespaces.first { $0.name == name }
        if let taken {
            throw IopmemError(
                .failed, "the name \(name) is taken by \(taken.dev)",
                remedy: "choose another name, or destroy it: iopmemctl destroy \(name)")
        }
    }

    private func chooseRegion(for request: CreateRequest) throws(IopmemError) -> Region {
        let regions = try Inventory(root: host.root).regions(of: request.device)
        if let bar = request.bar {
            if let region = regions.first(where: { $0.bar == bar }) { return region }
            let device = try DeviceList(root: host.root).device(at: request.device)
            try checkEligible(device, bindRequest(for: request))
            throw IopmemError(
                .notFound, "BAR \(bar) of \(request.device) is not a region",
                because: "it was left out when the device was bound",
                remedy: "bind it anew: iopmemctl unbind \(request.device); iopmemctl bind"
                    + " \(request.device) --bar \(bar)")
        }
        let largest = regions.reduce(nil as Region?) { best, region in
            (best?.size ?? 0) >= region.size ? best : region
        }
        guard let largest else {
            throw IopmemError(
                .notFound, "\(request.device) has no region",
                remedy: "see what the kernel said: dmesg | tail")
        }
        return largest
    }

    private func create(
        _ request: CreateRequest, in region: Region, _ version: DriverVersion,
        _ rollback: inout Rollback
    ) throws(IopmemError) -> Namespace {
        try checkMode(of: request, in: region)
        if region.isCachedByPlatform { warnAboutCache(region) }
        var opened = try openLocked(region)
        defer { opened.close() }
        let area = try labels(for: request, &opened)
        let watch = try host.watchNodes()
        let uuid = NamespaceUUID.random()
        let place = try place(request, uuid, in: opened, area, version)
        let removal = NamespaceRemoval(id: place.id, uuid: uuid.bytes)
        let dev = "\(region.dev)n\(place.id)"
        let restore = self
        if request.mode == .p2pdma {
            // No step of its own takes it back: only the unbind does, which a device that was bound
            // before is spared.
            rollback.add("take \(dev) back") { () throws(IopmemError) in
                try restore.leavePeerMemory(dev, region)
            }
        } else {
            rollback.add("destroy \(dev)") { () throws(IopmemError) in
                try restore.takeBack(removal, dev, region)
            }
        }
        try checkpoint()
        listener.step("wait for \(dev) to be ready")
        try wait(for: dev, subsystem: request.mode.subsystem, with: watch)
        try checkpoint()
        let made = try Inventory(root: host.root).namespace(named: dev, root: host.root)
        if let area {
            try write(Label(made), to: area, of: opened, &rollback)
        } else if request.persist {
            try writeDown(made, of: region, &rollback)
        }
        return made
    }

    /// The labels of the region, if it has some: a new namespace must keep clear
    /// of what they describe, and gets one of its own.
    private func labels(
        for request: CreateRequest, _ opened: inout LabelledRegion
    ) throws(IopmemError) -> LabelArea? {
        let region = opened.region
        guard let area = try opened.area() else {
            return nil
        }
        if !request.dryRun { try opened.claim() }
        let findings = area.damages.map(\.sentence) + area.objections.map(\.sentence)
        guard findings.isEmpty else {
            throw IopmemError(
                .failed, "cannot tell which parts of \(region.dev) are free",
                because: findings.joined(separator: "; "),
                remedy: "look at its labels: iopmemctl labels check \(region.device)")
        }
        if let named = area.entries.first(where: {
            !request.name.isEmpty && $0.label.name == request.name
        }) {
            throw IopmemError(
                .failed, "the name \(request.name) is taken by \(named.phrase) of \(region.dev)",
                remedy: "choose another name, or bring that namespace back: iopmemctl restore"
                    + " \(region.device)")
        }
        return area
    }

    /// The last step, so that a label is only ever there for a namespace that
    /// can be used.
    private func write(
        _ label: Label, to area: LabelArea, of opened: LabelledRegion, _ rollback: inout Rollback
    ) throws(IopmemError) {
        let writes = try changes(opened.region) { () throws(LabelChangeError) in
            try area.adding(label)
        }
        let restore = self
        rollback.add("remove the label of \(opened.region.dev)n\(label.number)") {
            () throws(IopmemError) in
            _ = try restore.removeLabel(of: label.uuid, in: opened.region)
        }
        listener.step("write the label of \(opened.region.dev)n\(label.number)")
        try opened.commit(writes)
    }

    /// Looks for room and data, and asks the driver for exactly that place;
    /// where somebody else took it meanwhile, looks again.
    private func place(
        _ request: CreateRequest, _ uuid: NamespaceUUID, in opened: LabelledRegion,
        _ area: LabelArea?, _ version: DriverVersion
    ) throws(IopmemError) -> NamespacePlace {
        let region = opened.region
        let device = try DeviceList(root: host.root).device(at: region.device)
        let described = area == nil ? try described(device)?.absent(in: region) ?? [] : []
        let kept =
            area.map { opened.missing($0).compactMap(\.label.range) } ?? described.map(\.range)
        var attempts = 5
        while true {
            try checkpoint()
            let range = try Extent(of: request, in: region, keeping: kept, host: host).range
            try checkMemory(of: request, UInt64(range.count))
            try checkSignatures(request, range, region, opened.control)
            listener.step("create \(ByteSize.exact(UInt64(range.count))) at \(range.lowerBound)")
            let number = try number(in: region, beside: described)
            let refusal: DriverRefusal
            do throws(DriverRefusal) {
                return try opened.control.create(
                    NamespaceRequest(
                        mode: DriverNumber.mode(request.mode.rawValue) ?? 0,
                        map: DriverNumber.map(request.map?.rawValue) ?? 0,
                        offset: range.lowerBound, length: UInt64(range.count),
                        id: number, uuid: uuid.bytes,
                        name: request.name, publish: request.publish))
            } catch {
                refusal = error
            }
            attempts -= 1
            let wasRaced = refusal.errno == .resourceBusy || refusal.errno == .fileExists
            guard wasRaced, attempts > 0 else {
                throw IopmemError(
                    refusal,
                    "cannot create a namespace in \(region.dev) (\(region.device) BAR"
                        + " \(region.bar))")
            }
            try checkName(request.name, on: device)
        }
    }

    /// The lowest number that nobody has and nobody gets back; nil to leave it to the driver.
    private func number(
        in region: Region, beside described: [ConfiguredNamespace]
    ) throws(IopmemError) -> UInt32? {
        guard !described.isEmpty else { return nil }
        let taken = Set(
            try Inventory(root: host.root).namespaces(in: region).map(\.id)
                + described.compactMap(\.number))
        return (1...UInt32(taken.count + 1)).first { !taken.contains($0) }
    }

    private func leavePeerMemory(_ dev: String, _ region: Region) throws(IopmemError) {
        throw IopmemError(
            .failed, "\(dev) stays",
            because: "the kernel takes p2pdma memory back only when \(region.device) is unbound",
            remedy: "iopmemctl unbind \(region.device)")
    }

    func takeBack(
        _ removal: NamespaceRemoval, _ dev: String, _ region: Region
    ) throws(IopmemError) {
        let control: any RegionControl
        do throws(Errno) {
            control = try host.openRegion(region)
        } catch {
            throw IopmemError(error, "cannot destroy \(dev) again")
        }
        defer { control.close() }
        let root = host.root
        try retryingWhileProbed(
            { () throws(IopmemError) in
                try Inventory(root: root).namespaces.filter { $0.dev == dev }
            }, "cannot destroy \(dev) again"
        ) { () throws(DriverRefusal) in
            try control.destroy(removal) {}
        }
    }

    private func checkSignatures(
        _ request: CreateRequest, _ range: Range<UInt64>, _ region: Region,
        _ control: any RegionControl
    ) throws(IopmemError) {
        let found: [Signature]
        do throws(Errno) {
            found = try control.signatures(in: range)
        } catch {
            throw IopmemError(error, "cannot look for data in \(region.dev)")
        }
        guard !found.isEmpty else { return }
        let list = found.map(\.phrase).joined(separator: " and ")
        let place = "\(region.dev) at \(ByteSize.exact(range.lowerBound))"
        guard request.force else {
            throw IopmemError(
                .dataPresent, "\(list) stands in \(place)",
                because: "a namespace there would put it at risk",
                remedy: "add --force to create the namespace over it")
        }
        listener.note("\(list) stands in \(place); the namespace is created over it")
    }

    func warnAboutCache(_ region: Region) {
        listener.warn(
            "the platform caches BAR \(region.bar) of \(region.device): a CPU may read stale data"
                + " after another device wrote there; see iopmemctl doctor \(region.device)")
    }

    private func checkMemory(of request: CreateRequest, _ length: UInt64) throws(IopmemError) {
        if request.map == .mem { try checkMemory(length, request.mode) }
    }

    /// The struct pages' price: refused where it does not fit, told where it does.
    func checkMemory(_ length: UInt64, _ mode: Namespace.Mode) throws(IopmemError) {
        let price = StructPages.price(of: length, mode)
        let available = StructPages.availableMemory(root: host.root)
        if let available, price > available {
            let largest = StructPages.affordable(with: available, mode)
            throw IopmemError(
                .failed,
                "a namespace of \(ByteSize.exact(length)) needs"
                    + " \(ByteSize.display(price)) of RAM for its struct pages",
                because: "\(ByteSize.display(available)) are available",
                remedy: "create at most --size \(ByteSize.exact(largest)), or one without struct"
                    + " pages: --mode raw")
        }
        listener.note("\(ByteSize.display(price)) of RAM for the struct pages")
    }

    private func tellPlan(_ device: Device, _ request: CreateRequest) throws(IopmemError) {
        guard device.isBound else {
            _ = try bind(
                BindRequest(
                    address: request.device, bar: request.bar, force: request.force, dryRun: true))
            let size =
                switch request.size {
                case .max: "as large as the BAR"
                case .bytes(let bytes): "of \(ByteSize.exact(bytes))"
                }
            listener.note("would create a namespace \(size), mode \(request.mode.rawValue)")
            if let length = Self.length(of: request, on: device) {
                try checkMemory(of: request, length)
            }
            return
        }
        let region = try chooseRegion(for: request)
        try checkMode(of: request, in: region)
        guard host.isPrivileged else {
            let kept = try described(device)?.absent(in: region).map(\.range) ?? []
            try tellPlace(
                request, try Extent(of: request, in: region, keeping: kept, host: host), region)
            return
        }
        var opened = try open(region)
        defer { opened.close() }
        let area = try labels(for: request, &opened)
        if area != nil { opened.region.labelSize = UInt64(LabelFormat.areaSize) }
        let described = area == nil ? try described(device)?.absent(in: region) ?? [] : []
        let kept =
            area.map { opened.missing($0).compactMap(\.label.range) } ?? described.map(\.range)
        let extent = try Extent(of: request, in: opened.region, keeping: kept, host: host)
        try tellPlace(request, extent, region)
        if area != nil {
            listener.note("would write its label to \(region.dev)")
        } else if request.persist {
            listener.note("would write it to \(try fileForNamespaces(of: request.device))")
        }
        try checkSignatures(request, extent.range, region, opened.control)
    }

    private func tellPlace(
        _ request: CreateRequest, _ extent: Extent, _ region: Region
    ) throws(IopmemError) {
        listener.note(
            "would create a namespace of \(ByteSize.exact(UInt64(extent.range.count))) in"
                + " \(region.dev) at offset \(ByteSize.exact(extent.range.lowerBound)), mode"
                + " \(request.mode.rawValue)")
        try checkMemory(of: request, UInt64(extent.range.count))
    }

    /// How large it would become on a device that is not bound, in bytes; at most the BAR itself.
    private static func length(of request: CreateRequest, on device: Device) -> UInt64? {
        if case .bytes(let bytes) = request.size { return bytes }
        return device.bars.filter { bar in
            request.bar.map { $0 == bar.index }
                ?? (bar.problem.map { $0 == .unknown || request.force && $0.yieldsToForce } ?? true)
        }.map(\.size).max()
    }
}

extension Signature {
    /// How a message names it: `an ext4 file system`.
    var phrase: String {
        let kind = kind == .partitionTable ? "partition table" : "signature"
        let label = label.map { " \"\($0)\"" } ?? ""
        return "a recognised \(type) \(kind)\(label)"
    }
}
