// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// Writing down what shall come back: `--persist`.
extension Operation {
    /// The file about a card, to be changed.
    private struct CardDraft {
        var path: String
        /// Its text; nil for a file that does not exist yet.
        var text: ConfigText?
        /// What it says.
        var file: CardFile
    }

    /// Writes down how a function is bound. The last step of a bind: what is in
    /// the file has worked.
    func writeDown(_ request: BindRequest, _ device: Device) throws(IopmemError) {
        let standing = try Inventory(root: host.root).regions(of: device.address).first?.media
        let policy = CardFile(
            card: CardPattern(CardIdentity(device, root: host.root)), bar: request.bar,
            media: request.media ?? standing ?? request.wantedMedia, resizeBar: request.resize,
            allowsSideEffects: try needsSideEffects(request, device))
        let lock = request.dryRun ? nil : try lockFiles()
        defer { withExtendedLifetime(lock) {} }
        let draft = try draft(for: device, otherwise: policy)
        guard draft.file.bar == policy.bar || policy.bar == nil else {
            throw IopmemError(
                .failed, "\(draft.path) says BAR \(draft.file.bar.map { "\($0)" } ?? "any")",
                because: "and now BAR \(policy.bar ?? 0) was asked for",
                remedy: "change the file: bar = \(policy.bar ?? 0)")
        }
        var text = draft.text
        func set(_ key: String, to value: String) {
            text = text.flatMap { text in
                text.sections.first { $0.name == "device" }
                    .map { ConfigText(text.setting(key, to: value, in: $0)) }
            }
        }
        if request.media != nil || standing != nil, draft.file.media != policy.media {
            set("media", to: policy.media)
        }
        if let size = policy.resizeBar, size != draft.file.resizeBar {
            set("resize_bar", to: ByteSize.exact(size))
        }
        if policy.allowsSideEffects, !draft.file.allowsSideEffects {
            set("side_effects", to: "allowed")
        }
        let isSame = text != nil && text == draft.text
        if request.dryRun {
            let deed = isSame ? "is in \(draft.path) already" : "would be written to \(draft.path)"
            return listener.note("how \(device.address) is bound \(deed)")
        }
        guard !isSame else { return }
        try requirePrivilege(for: "write \(draft.path)")
        try write(text.map { $0.text } ?? draft.file.text, to: draft.path)
        listener.note("\(draft.path) has it: \(device.address) is bound at each boot")
        tellInitramfs(about: device.address)
    }

    /// Not whenever --force was given: that may have been about a driver in the way.
    private func needsSideEffects(
        _ request: BindRequest, _ device: Device
    ) throws(IopmemError) -> Bool {
        let regions = try Inventory(root: host.root).regions(of: device.address)
        guard regions.isEmpty else { return regions.contains { !$0.prefetchable } }
        let bars = device.bars.filter { (request.bar ?? $0.index) == $0.index }
        return request.allowsSideEffects && bars.contains { $0.problem == .notPrefetchable }
    }

    /// What a function is bound with is not changed under its namespaces.
    func requireSameMedia(_ request: BindRequest, _ device: Device) throws(IopmemError) {
        let regions = try Inventory(root: host.root).regions(of: device.address)
        guard let media = request.media, let other = regions.first(where: { $0.media != media })
        else { return }
        throw IopmemError(
            .failed, "\(device.address) is bound with media \(other.media)",
            remedy: "bind it anew: iopmemctl unbind \(device.address); iopmemctl bind"
                + " \(device.address) --media \(media)\(request.persist ? " --persist" : ""); or say"
                + " --media \(other.media)")
    }

    /// Writes down a namespace that stands, with its card if that is not known; the caller has
    /// ``lockFiles()``.
    func writeDown(
        _ namespace: Namespace, of region: Region, _ rollback: inout Rollback
    ) throws(IopmemError) {
        let device = try DeviceList(root: host.root).device(at: namespace.device)
        let draft = try draft(
            for: device,
            otherwise: CardFile(
                card: CardPattern(CardIdentity(device, root: host.root)), media: region.media,
                allowsSideEffects: !region.prefetchable))
        let before = draft.text?.text
        let restore = self
        rollback.add("take \(namespace.dev) out of \(draft.path)") { () throws(IopmemError) in
            try restore.putBack(before, draft.path)
        }
        listener.step("write \(namespace.dev) to \(draft.path)")
        let text = draft.text ?? ConfigText(draft.file.text)
        try write(text.appending(ConfiguredNamespace(namespace).text), to: draft.path)
        if draft.text == nil { tellInitramfs(about: device.address) }
    }

    /// An initramfs has a copy of the files, for drivers that it loads itself.
    private func tellInitramfs(about address: PCIAddress) {
        guard hasInitramfsHook else { return }
        listener.note(
            "so that no driver of the initramfs takes \(address) first: update-initramfs -u")
    }

    /// Whether the initramfs is made with what reserves cards.
    var hasInitramfsHook: Bool {
        host.root.exists("/usr/share/initramfs-tools/hooks/iopmem-tools")
    }

    /// What `create --persist` would write where; for a dry run.
    func fileForNamespaces(of address: PCIAddress) throws(IopmemError) -> String {
        let device = try DeviceList(root: host.root).device(at: address)
        let card = CardPattern(CardIdentity(device, root: host.root))
        return try draft(for: device, otherwise: CardFile(card: card)).path
    }

    /// Takes a namespace out of the file that has it, unmakes the namespace by
    /// `body`, and puts it back into the file if it stands nevertheless. For the order see
    /// `withoutLabel`. The caller has ``lockFiles()``.
    func withoutFile(
        of namespace: Namespace, _ body: () throws(IopmemError) -> Void
    ) throws(IopmemError) {
        guard let (path, text, section) = try section(about: namespace) else { return try body() }
        listener.step("take \(namespace.dev) out of \(path)")
        do throws(IopmemError) {
            try host.replaceFile(path, with: text.removing(section))
            try body()
        } catch {
            guard stands(namespace) else { throw error }
            do throws(IopmemError) {
                listener.step("undo: put \(namespace.dev) back into \(path)")
                try putBack(text.text, path)
            } catch let second {
                var both = error
                both.message += "; and afterwards: \(second.message)"
                throw both
            }
            throw error
        }
    }

    /// Also in a file with mistakes, which may be mended after the namespace has gone.
    private func section(
        about namespace: Namespace
    ) throws(IopmemError) -> (String, ConfigText, ConfigText.Section)? {
        for entry in try CardFolder(root: host.root).entries {
            guard let text = try? CardFolder.text(entry.path, root: host.root) else { continue }
            let section = text.sections.first { section in
                section.name == "namespace"
                    && section.settings.contains {
                        $0.key == "uuid" && NamespaceUUID($0.value) == namespace.uuid
                    }
            }
            if let section { return (entry.path, text, section) }
        }
        return nil
    }

    /// Says that a function that was unbound comes back.
    func tellFile(about device: Device) throws(IopmemError) {
        let folder = try CardFolder(root: host.root)
        let card = CardIdentity(device, root: host.root)
        // Another card in its place, or two files: nothing that unbinding has to do with.
        guard let entry = try? folder.entry(for: card, at: device.address) else { return }
        listener.note(
            "\(entry.path) describes \(device.address): it is bound again at the next boot, and by"
                + " iopmemctl restore")
    }

    /// The file about a card, or a new one that says `file`.
    ///
    /// Nothing is written beside a file that cannot be read: it may be about the
    /// same card.
    private func draft(
        for device: Device, otherwise file: CardFile
    ) throws(IopmemError) -> CardDraft {
        let folder = try CardFolder(root: host.root)
        if let complaint = folder.entries.flatMap(\.complaints).first {
            throw IopmemError(
                .failed, "cannot write down what belongs to \(device.address)",
                because: complaint, remedy: "mend the file; to see all: iopmemctl config check")
        }
        let card = CardIdentity(device, root: host.root)
        if let entry = try folder.entry(for: card, at: device.address),
            let file = entry.reading.file
        {
            return CardDraft(
                path: entry.path, text: try CardFolder.text(entry.path, root: host.root),
                file: file)
        }
        let names = ["\(device.address)", "\(device.address)-\(card.id)"]
        let paths = names.map { "\(CardFolder.path)/\($0).conf" }
        guard let path = paths.first(where: { !host.root.exists($0) }) else {
            throw IopmemError(
                .failed, "cannot write down what belongs to \(device.address)",
                because: "\(paths.joined(separator: " and ")) are about other cards",
                remedy: "give those files other names, which end with .conf")
        }
        return CardDraft(path: path, text: nil, file: file)
    }

    /// Whether a namespace is still there, whatever its destruction said.
    func stands(_ namespace: Namespace) -> Bool {
        guard let inventory = try? Inventory(root: host.root) else { return true }
        return inventory.namespaces.contains { $0.uuid == namespace.uuid }
    }

    /// From reading a file to having written it, since the region's lock is not enough for a card
    /// with several. Before a region's lock, and not to be taken twice by one run of the tool.
    func lockFiles() throws(IopmemError) -> (any MachineLock)? {
        guard host.isPrivileged else { return nil }
        return try host.lockMachine(until: Deadline(in: patience))
    }

    /// Nothing is written that would not be believed when it is read.
    private func write(_ text: String, to path: String) throws(IopmemError) {
        if let objection = CardFile.read(ConfigText(text)).objections.first {
            throw IopmemError(
                .failed, "cannot write \(path)",
                because: "it would say \(objection.sentence(in: path))",
                remedy: "change what is in the file, or what is asked for")
        }
        try host.replaceFile(path, with: text)
    }

    /// Looks before it acts, as every undoing does.
    private func putBack(_ text: String?, _ path: String) throws(IopmemError) {
        guard let text else {
            if host.root.exists(path) { try host.removeFile(path) }
            return
        }
        guard host.root.optionalText(path) != text.trimmedOfNewlines else { return }
        try host.replaceFile(path, with: text)
    }
}

extension String {
    fileprivate var trimmedOfNewlines: String {
        var text = Substring(self)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
