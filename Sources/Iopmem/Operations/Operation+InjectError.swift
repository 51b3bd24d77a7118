// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

extension Operation {
    /// Makes blocks of a namespace bad, as if its hardware had reported them.
    /// Reading them gives EIO; writing them makes them good again.
    ///
    /// `range` is in bytes of the namespace, and both its ends are multiples of
    /// 512. Fails with `.unsupported` when the driver is not a debug build.
    public func injectError(
        into namespace: Namespace, range: Range<UInt64>, dryRun: Bool
    ) throws(IopmemError) {
        try recordingFailure(of: namespace.journalFields, unless: dryRun) {
            () throws(IopmemError) in
            try attemptInjection(into: namespace, range: range, dryRun: dryRun)
        }
    }

    private func attemptInjection(
        into namespace: Namespace, range: Range<UInt64>, dryRun: Bool
    ) throws(IopmemError) {
        let failure = "cannot make blocks of \(namespace.dev) bad"
        guard range.lowerBound % 512 == 0, range.upperBound % 512 == 0, !range.isEmpty else {
            throw IopmemError(
                .usage, failure,
                because:
                    "offset \(range.lowerBound) and length \(range.count) are not multiples of 512",
                remedy: "give both in whole blocks of 512 bytes")
        }
        guard range.upperBound <= namespace.size else {
            throw IopmemError(
                .usage, failure,
                because: "it has \(namespace.size) bytes, and the range ends at \(range.upperBound)"
            )
        }
        if dryRun {
            listener.note("would make \(range.count) bytes at \(range.lowerBound) bad")
            return
        }
        try requirePrivilege(for: "make blocks of \(namespace.dev) bad")
        let inventory = try Inventory(root: host.root)
        guard let region = inventory.regions.first(where: { $0.dev == namespace.region }) else {
            throw IopmemError(.notFound, "\(namespace.dev) is gone with its region")
        }
        let opened = try open(region)
        defer { opened.close() }
        do throws(DriverRefusal) {
            try opened.control.injectError(
                ErrorInjection(id: namespace.id, uuid: namespace.uuid.bytes, range: range))
        } catch {
            throw IopmemError(
                error, failure,
                remedy: error.errno == .notSupported
                    ? "build the driver for tests: make -C kmod IOPMEM_DEBUG=1" : nil)
        }
        record("made \(range.count) bytes at \(range.lowerBound) bad", namespace)
        listener.note(
            "\(range.count) bytes at \(range.lowerBound) of \(namespace.dev) are bad until written")
    }
}
