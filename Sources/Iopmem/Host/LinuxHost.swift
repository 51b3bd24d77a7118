// SPDX-License-Identifier: GPL-2.0
import Glibc
public import IopmemSystem
public import Logging
public import SystemPackage

/// The machine that the process runs on.
public final class LinuxHost: Host {
    /// Its own file tree.
    public let root = SystemRoot.machine
    private var signals: SignalHold?
    /// systemd's journal.
    public let journal = Logger(label: "iopmemctl") { JournalLogHandler(label: $0) }

    /// This machine.
    public init() {}

    /// By the effective user.
    public var isPrivileged: Bool { geteuid() == 0 }

    /// One write(2), as sysfs wants it.
    public func write(_ value: String, to path: String) throws(Errno) {
        let file = try OwnedDescriptor(path: path, mode: .writeOnly)
        try file.writeAll(Array(value.utf8))
    }

    /// Runs /sbin/modprobe.
    public func loadModule(_ name: String) throws(IopmemError) {
        try modprobe([name], "cannot load the module \(name)")
    }

    /// Runs /sbin/modprobe.
    public func unloadModule(_ name: String) throws(IopmemError) {
        try modprobe(["-r", name], "cannot unload the module \(name)")
    }

    /// By modinfo, which also looks into compressed modules.
    public func installedVersion(ofModule name: String) -> String? {
        let version = try? Program.output(of: "/sbin/modinfo", ["--field", "version", name])
        return version?.isEmpty == false ? version : nil
    }

    private func modprobe(_ arguments: [String], _ failure: String) throws(IopmemError) {
        let outcome: Program.Outcome
        do throws(Errno) {
            outcome = try Program.run("/sbin/modprobe", arguments)
        } catch {
            throw IopmemError(
                error, "cannot run /sbin/modprobe", remedy: "install the package kmod")
        }
        guard outcome.status != 0 else { return }
        let words = outcome.complaint.split(separator: "\n").last.map(String.init)
        throw IopmemError(
            .failed, failure, because: words ?? "modprobe ended with status \(outcome.status)")
    }

    /// Opens /dev/iopmem-control.
    public func openControl() throws(Errno) -> any DriverControl {
        LinuxControl(try ControlNode())
    }

    /// Opens /dev/iopmemN.
    public func openRegion(_ region: Region) throws(Errno) -> any RegionControl {
        LinuxRegion(try RegionNode(path: region.path), signals: signals)
    }

    /// Through libudev.
    public func watchNodes() throws(IopmemError) -> any NodeWatch {
        do throws(Errno) {
            return LinuxNodeWatch(
                try DeviceEvents(subsystems: ["iopmem", "block"]), signals: signals)
        } catch {
            throw IopmemError(error, "cannot listen for device events")
        }
    }

    /// By libblkid, on a node opened for reading.
    public func signatures(onNode path: String) throws(Errno) -> [Signature] {
        let node = try OwnedDescriptor(path: path)
        return try Signature.all(on: node.raw)
    }

    /// From /proc.
    public func processes(holding devices: Set<DeviceNumber>) -> [ProcessHolder] {
        ProcessHolder.all(holding: devices)
    }

    /// By trying to claim it for a moment.
    public func isClaimed(_ path: String) -> Bool {
        do throws(Errno) {
            _ = try OwnedDescriptor(path: path, options: .exclusiveCreate)
            return false
        } catch {
            return error == .resourceBusy
        }
    }

    /// By stat.
    public func deviceNumber(of path: String) -> DeviceNumber? {
        DeviceNumber(node: path)
    }

    /// By statx' STATX_ATTR_DAX.
    public func isDAX(_ path: String) -> Bool? {
        guard let file = try? OpenFile(path) else { return nil }
        return try? file.status().isDAX
    }

    /// By a lock on a file in /run.
    public func lockMachine(until deadline: Deadline) throws(IopmemError) -> any MachineLock {
        let path = "/run/iopmemctl.lock"
        do throws(Errno) {
            let file = try OwnedDescriptor(creating: path, replacing: true)
            while try !file.tryLock() {
                guard signals?.pending == nil else {
                    throw Errno.interrupted
                }
                guard !deadline.hasPassed else { throw Errno.resourceTemporarilyUnavailable }
                Pause.briefly()
            }
            return LinuxMachineLock(file)
        } catch .interrupted {
            throw IopmemError(
                .interrupted, "interrupted while waiting; nothing was changed",
                signal: signals?.pending)
        } catch .resourceTemporarilyUnavailable {
            throw IopmemError(
                .busy, "another iopmemctl is restoring namespaces, and does not end",
                remedy: "find it: fuser -v \(path); then try again")
        } catch {
            throw IopmemError(error, "cannot lock \(path)")
        }
    }

    /// See ``TextFile``.
    public func replaceFile(_ path: String, with text: String) throws(IopmemError) {
        var missing: [String] = []
        var directory = FileName.directory(of: path)
        while !root.exists(directory) {
            missing.append(directory)
            directory = FileName.directory(of: directory)
        }
        for directory in missing.reversed() {
            do throws(Errno) {
                try FileName.makeDirectory(directory)
            } catch {
                throw IopmemError(error, "cannot make the directory \(directory)")
            }
        }
        try TextFile.replace(path, with: text, root: root)
    }

    /// By unlink.
    public func removeFile(_ path: String) throws(IopmemError) {
        FileName.remove(path)
        guard !root.exists(path) else {
            throw IopmemError(.failed, "cannot remove \(path)")
        }
    }

    /// By mkdir.
    public func makeDirectory(_ path: String) throws(Errno) {
        try FileName.makeDirectory(path)
    }

    /// By rmdir.
    public func removeDirectory(_ path: String) throws(Errno) {
        try FileName.removeDirectory(path)
    }

    /// By symlink.
    public func makeLink(_ path: String, to target: String) throws(Errno) {
        try FileName.makeLink(path, to: target)
    }

    /// By unlink.
    public func removeLink(_ path: String) throws(Errno) {
        try FileName.removeLink(path)
    }

    /// By mount(8), as systemd does with it.
    public func mountConfigfs() throws(IopmemError) {
        let path = "/sys/kernel/config"
        let outcome: Program.Outcome
        do throws(Errno) {
            outcome = try Program.run("/bin/mount", ["-t", "configfs", "configfs", path])
        } catch {
            throw IopmemError(error, "cannot run /bin/mount", remedy: "install the package mount")
        }
        guard outcome.status != 0 else { return }
        throw IopmemError(
            .failed, "cannot mount configfs at \(path)",
            because: outcome.complaint.split(separator: "\n").last.map(String.init))
    }

    /// By mkfs.ext4 and mkfs.xfs.
    public func makeFilesystem(_ type: String, on node: String) throws(IopmemError) {
        // DAX needs blocks of a page's size. xfs cannot share blocks of DAX files before Linux
        // 6.2, and recommends 300 MiB, which is no reason to refuse.
        let arguments =
            type == "xfs"
            ? ["-q", "--unsupported", "-m", "reflink=0", node] : ["-q", "-b", "4096", node]
        let program = "/sbin/mkfs.\(type)"
        let outcome: Program.Outcome
        do throws(Errno) {
            outcome = try Program.run(program, arguments)
        } catch {
            throw IopmemError(
                error, "cannot run \(program)",
                remedy: "install \(type == "xfs" ? "xfsprogs" : "e2fsprogs")")
        }
        guard outcome.status != 0 else { return }
        let words = outcome.complaint.split(separator: "\n").last.map(String.init)
        throw IopmemError(
            .failed, "cannot make \(type) on \(node)",
            because: words ?? "\(program) ended with status \(outcome.status)")
    }

    /// By libudev's queue.
    public var isUdevBusy: Bool { (try? EventQueue.isBusy) ?? false }

    /// Through libudev's queue.
    public func waitForUdev(until deadline: Deadline) throws(IopmemError) {
        do throws(Errno) {
            _ = try EventQueue.waitUntilEmpty(until: deadline, signals: signals)
        } catch {
            throw IopmemError(error, "cannot wait for udev")
        }
    }

    /// By its clock.
    public func now() -> Timestamp { .now() }

    /// Blocks them.
    public func holdSignals() {
        guard signals == nil else { return }
        // Without it the operation is as good, only not Ctrl-C proof; the
        // kernel refuses this only when it is out of descriptors or memory.
        signals = try? SignalHold()
    }

    /// Unblocks them.
    public func releaseSignals() { signals = nil }

    /// By sigpending.
    public func pendingSignal() -> Int32? { signals?.pending }
}

private final class LinuxMachineLock: MachineLock {
    private let file: OwnedDescriptor

    init(_ file: consuming OwnedDescriptor) { self.file = file }
}

private final class LinuxControl: DriverControl {
    private var node: ControlNode?

    init(_ node: consuming ControlNode) {
        self.node = consume node
    }

    func version() throws(DriverRefusal) -> DriverVersion {
        guard let answer = try node?.version() else { throw DriverRefusal(.badFileDescriptor) }
        return answer
    }

    func prepareBind(_ preparation: BindPreparation) throws(DriverRefusal) {
        guard let answer: Void = try node?.prepareBind(preparation) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func bindResult() throws(DriverRefusal) -> BindResult {
        guard let answer = try node?.bindResult() else { throw DriverRefusal(.badFileDescriptor) }
        return answer
    }

    func retire(
        _ function: FunctionNumber, revoke: Bool, watch: () -> Void
    ) throws(DriverRefusal) -> Int {
        guard let answer = try node?.retire(function, revoke: revoke, watch: watch) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func close() { node = nil }
}

private final class LinuxRegion: RegionControl {
    private var node: RegionNode?
    private let signals: SignalHold?

    init(_ node: consuming RegionNode, signals: SignalHold?) {
        self.node = consume node
        self.signals = signals
    }

    func version() throws(DriverRefusal) -> DriverVersion {
        guard let answer = try node?.version() else { throw DriverRefusal(.badFileDescriptor) }
        return answer
    }

    func signatures(in range: Range<UInt64>) throws(Errno) -> [Signature] {
        guard let answer = try node?.signatures(in: range) else { throw Errno.badFileDescriptor }
        return answer
    }

    func create(_ request: NamespaceRequest) throws(DriverRefusal) -> NamespacePlace {
        guard let answer = try node?.create(request) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func destroy(_ request: NamespaceRemoval, watch: () -> Void) throws(DriverRefusal) {
        guard let answer: Void = try node?.destroy(request, watch: watch) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func lock(until deadline: Deadline) throws(Errno) {
        while true {
            guard let isLocked = try node?.tryLock() else { throw Errno.badFileDescriptor }
            if isLocked { return }
            guard signals?.pending == nil else { throw Errno.interrupted }
            guard !deadline.hasPassed else { throw Errno.resourceTemporarilyUnavailable }
            // flock(2) has no timeout, and nothing tells when it would succeed.
            Pause.briefly()
        }
    }

    func read(count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        guard let answer = try node?.read(count: count, at: offset) else {
            throw Errno.badFileDescriptor
        }
        return answer
    }

    func setLabelArea(length: UInt64) throws(DriverRefusal) {
        guard let answer: Void = try node?.setLabelArea(length: length) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func writeLabels(_ bytes: [UInt8], at offset: UInt64) throws(DriverRefusal) {
        guard let answer: Void = try node?.writeLabels(bytes, at: offset) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func injectError(_ request: ErrorInjection) throws(DriverRefusal) {
        guard let answer: Void = try node?.injectError(request) else {
            throw DriverRefusal(.badFileDescriptor)
        }
        return answer
    }

    func close() { node = nil }
}

private final class LinuxNodeWatch: NodeWatch {
    private let events: DeviceEvents
    private let signals: SignalHold?

    init(_ events: DeviceEvents, signals: SignalHold?) {
        self.events = events
        self.signals = signals
    }

    func wait(
        for name: String, subsystem: String, isNew: Bool, until deadline: Deadline
    ) throws(IopmemError) {
        while !events.isReady(name: name, subsystem: subsystem, isNew: isNew) {
            guard try next(until: deadline) == nil else { continue }
            throw IopmemError(
                IopmemError.Code.timedOut, "the node /dev/\(name) did not become ready in time",
                remedy: events.usesDaemon
                    ? "see whether udev is stuck: udevadm settle; journalctl -u systemd-udevd"
                    : "see whether devtmpfs is mounted on /dev")
        }
    }

    func next(until deadline: Deadline?) throws(IopmemError) -> DeviceEvents.News? {
        let wait: DeviceEvents.Wait
        do throws(Errno) {
            wait = try events.next(until: deadline, signals: signals)
        } catch {
            throw IopmemError(error, "cannot wait for device events")
        }
        switch wait {
        case .news(let news): return news
        case .timedOut: return nil
        case .interrupted:
            throw IopmemError(
                .interrupted, "interrupted while waiting; nothing was changed",
                signal: signals?.pending)
        }
    }
}
