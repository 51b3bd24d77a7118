// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// `share` and `unshare`: a namespace for other machines, through the kernel's NVMe target.
extension Operation {
    /// Ports with these numbers are made here, and go with their last subsystem; others are
    /// somebody's own.
    private static let ownPorts = 0x10c0..<0x20c0

    private var target: TargetTree { TargetTree(root: host.root) }

    /// Exports a namespace, and writes that down unless it shall be for once.
    ///
    /// All or nothing. Returns how it is exported; nil for a dry run. One that is exported so already
    /// stays as it is.
    public func share(
        _ namespace: Namespace, _ request: ShareRequest
    ) throws(IopmemError) -> Share? {
        try recordingFailure(of: namespace.journalFields, unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptShare(namespace, request)
        }
    }

    private func attemptShare(
        _ namespace: Namespace, _ request: ShareRequest
    ) throws(IopmemError) -> Share? {
        guard namespace.isBlock else {
            throw IopmemError(
                .unsupported, "cannot share \(namespace.dev)",
                because: "a namespace of mode \(namespace.mode.rawValue) is no block device",
                remedy: "share one of mode raw or fsdax")
        }
        let isStale =
            namespace.openers == 0 && host.root.exists(TargetTree.subsystem(nqn(namespace)))
        if !isStale, let standing = try standing(namespace, request) {
            if !request.once, !request.dryRun { try writeDown(request, namespace) }
            listener.note("\(namespace.dev) is shared already")
            return standing
        }
        try refuseUsed(namespace)
        if request.dryRun {
            listener.note(
                "would share \(namespace.dev) at \(request.address) port \(request.port), for"
                    + " \(request.hosts?.joined(separator: ", ") ?? "any host")")
            return nil
        }
        try requirePrivilege(for: "share \(namespace.dev)")
        host.holdSignals()
        let made = try withRollback(telling: listener) { rollback throws(IopmemError) in
            // The target has the node open. Where it has not, it kept the one of a card that was taken
            // away, and the namespace has come back since.
            if isStale { try remove(nqn(namespace)) }
            try prepareTarget()
            try checkpoint()
            let made = try export(namespace, request, &rollback)
            try checkpoint()
            if !request.once { try writeDown(request, namespace) }
            return made
        }
        record("shared \(namespace.dev) at \(made.address) port \(made.port)", namespace)
        if request.isLocal {
            listener.note("only this machine reaches \(request.address); others: --address")
        }
        return made
    }

    /// Exports what a file in /etc/iopmem/shares describes, when its namespace has come.
    public func shareAgain(_ uuid: NamespaceUUID) throws(IopmemError) -> Share? {
        try recordingFailure(of: uuid.journalFields, unless: false) { () throws(IopmemError) in
            let file = try ShareFile.read(ShareFile.path(of: uuid), root: host.root)
            let namespace = try Inventory(root: host.root).namespace(
                named: "\(uuid)", root: host.root)
            var request = file.request
            // It is written down.
            request.once = true
            return try attemptShare(namespace, request)
        }
    }

    /// All exports of namespaces.
    public func shares() throws(IopmemError) -> [Share] {
        try Inventory(root: host.root).namespaces.flatMap {
            target.shares(of: $0.path, dev: $0.dev)
        }
    }

    /// Ends the exports of a namespace, also of one that has gone, and forgets them.
    public func unshare(_ name: String, dryRun: Bool) throws(IopmemError) -> [Share] {
        let found = try Inventory(root: host.root).findNamespace(named: name, root: host.root)
        guard let uuid = found?.uuid ?? NamespaceUUID(name) ?? Share.uuid(in: name) else {
            throw IopmemError(
                .notFound, "there is no namespace \(name)",
                remedy:
                    "show what is shared: iopmemctl share; one that has gone is named by its UUID")
        }
        return try recordingFailure(
            of: found?.journalFields ?? uuid.journalFields, unless: dryRun
        ) { () throws(IopmemError) in
            try attemptUnshare(name, uuid, found, dryRun: dryRun)
        }
    }

    private func attemptUnshare(
        _ name: String, _ uuid: NamespaceUUID, _ found: Namespace?, dryRun: Bool
    ) throws(IopmemError) -> [Share] {
        let path = ShareFile.path(of: uuid)
        let nqn = Share.nqn(of: uuid)
        let isExported = host.root.exists(TargetTree.subsystem(nqn))
        let exports = found.map { target.subsystems(exporting: $0.path) } ?? []
        let others = exports.filter { $0 != nqn }
        let shares = found.map { target.shares(of: $0.path, dev: $0.dev) } ?? []
        let isWritten = host.root.exists(path)
        guard isExported || isWritten else {
            // Who set those up may have others depend on them.
            if let other = others.first { throw Self.foreign(other, name) }
            listener.note("\(name) is not shared")
            return []
        }
        if dryRun {
            listener.note("would end the export of \(name)")
            return []
        }
        try requirePrivilege(for: "unshare \(name)")
        host.holdSignals()
        // First, so that it does not come back if this is interrupted.
        if isWritten { try host.removeFile(path) }
        if isExported { try remove(nqn) }
        if let found { record("unshared \(found.dev)", found) }
        for other in others {
            let foreign = Self.foreign(other, name)
            listener.warn("\(foreign.message); \(foreign.remedy ?? "")")
        }
        return shares.filter { $0.nqn == nqn }
    }

    /// An export of our node that somebody else has set up.
    private static func foreign(_ nqn: String, _ name: String) -> IopmemError {
        IopmemError(
            .busy, "\(name) is exported as \(nqn)", because: "iopmemctl share did not set that up",
            remedy: "end it with what did, for instance nvmetcli; it is in"
                + " \(TargetTree.subsystem(nqn))")
    }

    private func nqn(_ namespace: Namespace) -> String { Share.nqn(of: namespace.uuid) }

    // MARK: What is in the way

    private func standing(
        _ namespace: Namespace, _ request: ShareRequest
    ) throws(IopmemError) -> Share? {
        let own = nqn(namespace)
        if let other = target.subsystems(exporting: namespace.path).first(where: { $0 != own }) {
            throw Self.foreign(other, namespace.dev)
        }
        let shares = target.shares(of: namespace.path, dev: namespace.dev)
        guard let first = shares.first else { return nil }
        if let same = shares.first(where: {
            $0.address == request.address && $0.port == request.port
                && $0.hosts.map(Set.init) == request.hosts.map(Set.init)
        }) {
            return same
        }
        throw IopmemError(
            .busy, "\(namespace.dev) is shared at \(first.address) port \(first.port) already",
            because:
                "with \(first.hosts.map { "the hosts \($0.joined(separator: ", "))" } ?? "any host")",
            remedy: "end that first: iopmemctl unshare \(namespace.dev)")
    }

    /// Two machines that write to one file system destroy it.
    private func refuseUsed(_ namespace: Namespace) throws(IopmemError) {
        let filled = BlockUsage(host: host).fill(namespace)
        let lasting = filled.holders.filter { !$0.isProbe && $0.kind != "share" }
        guard namespace.state == .enabled, lasting.isEmpty else {
            throw IopmemError(
                .busy, "cannot share \(namespace.dev)",
                because: lasting.isEmpty
                    ? "it is being taken away"
                    : "it is " + lasting.map(\.sentence).joined(separator: ", "),
                remedy: lasting.first { $0.remedy != nil }?.remedy
                    ?? "end that use, then try again")
        }
    }

    // MARK: Changing the target

    private func prepareTarget() throws(IopmemError) {
        if !host.root.exists("/sys/module/nvmet_tcp") {
            listener.step("load the module nvmet-tcp")
            do throws(IopmemError) {
                try host.loadModule("nvmet-tcp")
            } catch {
                throw IopmemError(
                    .unsupported, error.message,
                    remedy: "use a kernel with CONFIG_NVME_TARGET_TCP")
            }
        }
        if !host.root.exists("\(TargetTree.path)/subsystems") { try host.mountConfigfs() }
    }

    private func export(
        _ namespace: Namespace, _ request: ShareRequest, _ rollback: inout Rollback
    ) throws(IopmemError) -> Share {
        let nqn = Share.nqn(of: namespace.uuid)
        let subsystem = TargetTree.subsystem(nqn)
        let restore = self
        rollback.add("end the export \(nqn)") { () throws(IopmemError) in try restore.remove(nqn) }
        listener.step("make the subsystem \(nqn)")
        try makeDirectory(subsystem)
        // The target's own serial number is another one at each boot.
        let serial = "\(namespace.uuid)".filter { $0 != "-" }.prefix(20)
        try set("attr_serial", of: subsystem, to: String(serial))
        try allow(request.hosts, subsystem)

        let first = "\(subsystem)/namespaces/1"
        try makeDirectory(first)
        try set("device_path", of: first, to: namespace.path)
        try set("device_uuid", of: first, to: "\(namespace.uuid)")
        try set("enable", of: first, to: "1")
        try listen(nqn, request)
        return Share(
            dev: namespace.dev, nqn: nqn, address: request.address, port: request.port,
            hosts: request.hosts)
    }

    private func allow(_ hosts: [String]?, _ subsystem: String) throws(IopmemError) {
        // What stood there before may say otherwise, and any and some contradict each other.
        try set("attr_allow_any_host", of: subsystem, to: hosts == nil ? "1" : "0")
        for name in hosts ?? [] {
            let folder = "\(TargetTree.path)/hosts/\(name)"
            try makeDirectory(folder)
            try link("\(subsystem)/allowed_hosts/\(name)", to: folder, "let \(name) in")
        }
    }

    /// At a port that is there, or one of our own.
    private func listen(_ nqn: String, _ request: ShareRequest) throws(IopmemError) {
        let ports = target.ports
        if let known = ports.first(where: { target.isPort($0, at: request) }) {
            return try link(
                "\(TargetTree.port(known))/subsystems/\(nqn)", to: TargetTree.subsystem(nqn),
                "listen at \(request.address) port \(request.port)")
        }
        guard let free = Self.ownPorts.first(where: { !ports.contains($0) }) else {
            throw IopmemError(.failed, "the NVMe target has no port left")
        }
        let port = TargetTree.port(free)
        try makeDirectory(port)
        do throws(IopmemError) {
            try set("addr_adrfam", of: port, to: request.family)
            try set("addr_trtype", of: port, to: "tcp")
            try set("addr_traddr", of: port, to: request.address)
            try set("addr_trsvcid", of: port, to: "\(request.port)")
            // Only now the kernel opens its socket.
            try link(
                "\(port)/subsystems/\(nqn)", to: TargetTree.subsystem(nqn),
                "listen at \(request.address) port \(request.port)")
        } catch {
            try? removeDirectory(port)
            throw error
        }
    }

    /// A subsystem with all that is in it, in the order that the target wants; what is not there is
    /// no obstacle.
    private func remove(_ nqn: String) throws(IopmemError) {
        let subsystem = TargetTree.subsystem(nqn)
        guard host.root.exists(subsystem) else { return }
        listener.step("remove the subsystem \(nqn)")
        for number in target.ports(of: nqn) {
            try unlink("\(TargetTree.port(number))/subsystems/\(nqn)")
            let others = (try? host.root.entries("\(TargetTree.port(number))/subsystems")) ?? []
            guard others.isEmpty, Self.ownPorts.contains(number) else { continue }
            try removeDirectory(TargetTree.port(number))
        }
        for name in (try? host.root.entries("\(subsystem)/allowed_hosts")) ?? [] {
            try unlink("\(subsystem)/allowed_hosts/\(name)")
            // Others may let the host in too, and then it stays.
            try? removeDirectory("\(TargetTree.path)/hosts/\(name)")
        }
        for number in (try? host.root.entries("\(subsystem)/namespaces")) ?? [] {
            try removeDirectory("\(subsystem)/namespaces/\(number)")
        }
        try removeDirectory(subsystem)
    }

    private func writeDown(_ request: ShareRequest, _ namespace: Namespace) throws(IopmemError) {
        let path = ShareFile.path(of: namespace.uuid)
        let text = ShareFile(request: request).text
        guard host.root.optionalText(path).map({ $0 + "\n" }) != text else { return }
        listener.step("write \(path)")
        try host.replaceFile(path, with: text)
    }

    private func set(
        _ attribute: String, of folder: String, to value: String
    ) throws(IopmemError) {
        try write(value, to: "\(folder)/\(attribute)", purpose: "set \(attribute) to \(value)")
    }

    private func makeDirectory(_ path: String) throws(IopmemError) {
        do throws(Errno) {
            try host.makeDirectory(path)
        } catch {
            throw IopmemError(error, "cannot make \(path)")
        }
    }

    private func removeDirectory(_ path: String) throws(IopmemError) {
        do throws(Errno) {
            try host.removeDirectory(path)
        } catch {
            throw IopmemError(error, "cannot remove \(path)")
        }
    }

    private func link(
        _ path: String, to target: String, _ deed: String
    ) throws(IopmemError) {
        do throws(Errno) {
            try host.makeLink(path, to: target)
        } catch {
            throw IopmemError(
                error, "cannot \(deed)",
                remedy: "see what the target says: dmesg | grep nvmet; is the address one of this"
                    + " machine, and the port free?")
        }
    }

    private func unlink(_ path: String) throws(IopmemError) {
        do throws(Errno) {
            try host.removeLink(path)
        } catch {
            throw IopmemError(error, "cannot remove \(path)")
        }
    }
}
