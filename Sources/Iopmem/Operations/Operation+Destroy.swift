// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// How a namespace shall be destroyed.
public struct DestroyRequest: Sendable, Equatable {
    /// Leave file-system signatures where they are.
    public var keepData: Bool
    /// Overwrite all of it with zeros.
    public var zero: Bool
    /// Although a file system is recognised there.
    public var force: Bool
    /// Take it away from those who hold it: their I/O ends in EIO, their mappings in SIGBUS.
    public var revoke: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(
        keepData: Bool = false, zero: Bool = false, force: Bool = false, revoke: Bool = false,
        dryRun: Bool = false
    ) {
        self.keepData = keepData
        self.zero = zero
        self.force = force
        self.revoke = revoke
        self.dryRun = dryRun
    }
}

extension Operation {
    /// Destroys a namespace, if `agree` says so after everything else has been
    /// checked: it is not held, and there is no data or `force` was given.
    ///
    /// `agree` is given the namespace with its file system, and throws if the
    /// user does not want it after all.
    public func destroy(
        _ namespace: Namespace, _ request: DestroyRequest,
        agree: (Namespace) throws(IopmemError) -> Void
    ) throws(IopmemError) {
        try recordingFailure(of: namespace.journalFields, unless: request.dryRun) {
            () throws(IopmemError) in
            try attemptDestroy(namespace, request, agree: agree)
        }
    }

    private func attemptDestroy(
        _ namespace: Namespace, _ request: DestroyRequest,
        agree: (Namespace) throws(IopmemError) -> Void
    ) throws(IopmemError) {
        let usage = BlockUsage(host: host)
        let filled = usage.fill(namespace)
        try refuseHeld(filled, revoke: request.revoke)
        if !request.dryRun { try requirePrivilege(for: "destroy \(namespace.dev)") }
        let data = try signatures(on: namespace, usage)
        try refuseData(namespace, data, request)
        if request.dryRun {
            listener.note(
                "would destroy \(namespace.dev)" + plan(data, request)
                    + filled.losers.map { ", although it is \($0)" }.joined())
            return
        }
        try agree(filled)
        host.holdSignals()
        try checkpoint()
        try remove(namespace, request, wipes: request.keepData ? [] : data.wipes)
        let cost = filled.losers.map { ", although it was \($0)" }.joined()
        record("destroyed \(namespace.dev)" + plan(data, request) + cost, filled)
        listener.note("destroyed \(namespace.dev)")
        // The next one may be asked about, and Ctrl-C is an answer. One that has come already ends what
        // would follow, and must not hide what was done.
        if host.pendingSignal() == nil { host.releaseSignals() }
    }

    private func refuseHeld(_ namespace: Namespace, revoke: Bool) throws(IopmemError) {
        if namespace.mode == .p2pdma {
            throw IopmemError(
                .busy, "cannot destroy \(namespace.dev)",
                because: "the kernel keeps peer-to-peer memory until the device is unbound",
                remedy: "iopmemctl unbind \(namespace.device)")
        }
        let lasting = namespace.holders.filter { !$0.isProbe }
        guard !lasting.isEmpty, !revoke else { return }
        let known = lasting.first { $0.remedy != nil }
        throw IopmemError(
            .busy, "cannot destroy \(namespace.dev)",
            because: "it is " + lasting.map(\.sentence).joined(separator: ", "),
            remedy: known?.remedy ?? "end that use, then try again")
    }

    private func refuseData(
        _ namespace: Namespace, _ data: FoundData, _ request: DestroyRequest
    ) throws(IopmemError) {
        guard !data.isEmpty, !request.force, !request.keepData || request.zero else { return }
        throw IopmemError(
            .dataPresent, "cannot destroy \(namespace.dev)",
            because: "there is \(data.phrase) on it",
            remedy: "add --force to lose it, or --keep-data to leave the bytes in the memory")
    }

    private func plan(_ data: FoundData, _ request: DestroyRequest) -> String {
        if request.zero { return " and overwrite all of it with zeros" }
        if request.keepData { return ", leaving its data" }
        return data.isEmpty ? "" : " and wipe \(data.phrase)"
    }

    private func signatures(
        on namespace: Namespace, _ usage: BlockUsage
    ) throws(IopmemError) -> FoundData {
        guard namespace.isBlock, host.isPrivileged else { return FoundData() }
        var found = FoundData()
        let directory = BlockUsage.diskDirectory(of: namespace)
        for node in usage.nodes(ofDisk: namespace.dev, at: directory) {
            do throws(Errno) {
                let start = (try? host.root.number("\(node.directory)/start")) ?? 0
                // sysfs counts in 512 bytes, whatever the disk's blocks are.
                found.add(try host.signatures(onNode: node.path), at: start * 512, of: node.name)
            } catch {
                throw IopmemError(error, "cannot look for data on \(node.path)")
            }
        }
        return found
    }

    private func remove(
        _ namespace: Namespace, _ request: DestroyRequest, wipes: [Range<UInt64>]
    ) throws(IopmemError) {
        let inventory = try Inventory(root: host.root)
        guard let region = inventory.regions.first(where: { $0.dev == namespace.region }) else {
            throw IopmemError(.notFound, "\(namespace.dev) is gone with its region")
        }
        let removal = NamespaceRemoval(
            id: namespace.id, uuid: namespace.uuid.bytes, zero: request.zero,
            revoke: request.revoke, wipes: Array(wipes.prefix(DriverNumber.maxWipes)))
        let root = host.root
        // Before the region's lock, as restore takes them.
        let lock = root.exists(CardFolder.path) ? try lockFiles() : nil
        defer { withExtendedLifetime(lock) {} }
        let opened = try openLocked(region)
        defer { opened.close() }
        let progress = listener.follow("overwrite \(namespace.dev)", bytes: namespace.size)
        defer { progress.end() }
        let revocation = RevocationWatch([region.dev], root: root, telling: listener)
        func destroy() throws(IopmemError) {
            listener.step("destroy \(namespace.dev), wiping \(removal.wipes.count) signatures")
            try retryingWhileProbed(
                { () throws(IopmemError) in
                    try Inventory(root: root).namespaces.filter { $0.uuid == namespace.uuid }
                }, "cannot destroy \(namespace.dev)"
            ) { () throws(DriverRefusal) in
                try opened.control.destroy(removal) {
                    revocation.look()
                    let wiped = "/sys/class/iopmem/\(namespace.dev)/wiped"
                    if let done = try? root.number(wiped), done > 0 { progress.update(done) }
                }
            }
        }
        try withoutLabel(of: namespace, in: opened) { () throws(IopmemError) in
            try withoutFile(of: namespace, destroy)
        }
    }
}

/// Signatures on a disk and its partitions.
struct FoundData {
    private(set) var wipes: [Range<UInt64>] = []
    private var phrases: [String] = []

    var isEmpty: Bool { phrases.isEmpty }
    var phrase: String { phrases.joined(separator: " and ") }

    /// Adds what was found on a node that begins at `start` of the disk.
    mutating func add(_ signatures: [Signature], at start: UInt64, of node: String) {
        for signature in signatures {
            if let magic = signature.magic {
                wipes.append(magic.lowerBound + start..<magic.upperBound + start)
            }
            let phrase = start == 0 ? signature.phrase : "\(signature.phrase) on \(node)"
            if !phrases.contains(phrase) { phrases.append(phrase) }
        }
    }
}
