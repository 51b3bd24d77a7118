// SPDX-License-Identifier: GPL-2.0
public import Iopmem
public import IopmemSystem
public import Logging
public import SystemPackage

/// A machine in a directory, with a kernel and a driver that do what the real
/// ones do to sysfs, and that can fail at any step.
///
/// Every call that acts is recorded in `acts` and counted: `failingAct` makes
/// one of them fail without an effect, `signalAfterAct` lets Ctrl-C come after
/// it.
public final class SimulatedHost: Host {
    /// The directory.
    public let tree: TemporaryDirectory
    /// What the operations did, in order.
    public internal(set) var acts: [String] = []
    /// The number of the act, from 0, that fails.
    public var failingAct: Int?
    /// Acts that fail whenever they are tried.
    public var failing: Set<String> = []
    /// The number of the act after which SIGINT is pending.
    public var signalAfterAct: Int?
    /// Whether the operations run as root.
    public var isPrivileged = true
    /// Control and region nodes that were opened and not closed.
    public internal(set) var openNodes = 0

    /// Which driver takes a function when no override is set.
    public var ordinaryDrivers: [String: String] = [:]
    /// Whether modprobe finds the module.
    public var hasModule = true
    /// What modinfo says of the module.
    public var installedVersion: String? = "0.1.0"
    /// What the driver says of itself.
    public var version = DriverVersion(
        abi: 1, modes: 1 << 1 | 1 << 2 | 1 << 4, maps: 1 << 1, release: "0.1.0")
    /// What the driver answers to a probe instead of binding.
    public var probeRefusal: BindResult?
    /// What libblkid finds in a range of a region, by the range's start.
    public var regionSignatures: [UInt64: [Signature]] = [:]
    /// The first 2 MiB of functions' memory, by their addresses; zeros where
    /// nothing was written. A card that is moved takes its memory along.
    public var memory: [String: [UInt8]] = [:]
    /// The largest BAR for which bridges have room, as a bit of resourceN_resize.
    public var largestBar = UInt64.max
    /// Whether another tool has every region locked.
    public var isLockedByAnother = false
    /// What libblkid finds on a node.
    public var nodeSignatures: [String: [Signature]] = [:]
    /// Nodes that somebody has claimed.
    public var claimedNodes: Set<String> = []
    /// What statx says of every file.
    public var isDAXInEffect: Bool?
    /// Programs that have nodes open, asked for one time after the other; the
    /// last answer stays.
    public var processAnswers: [[ProcessHolder]] = []
    /// How often the driver refuses a destroy or retire because a node is open.
    public var busyAnswers = 0
    /// How many waits for a node are over before udev has come to it.
    public var busyRounds = 0
    /// Called before each create, so that a rival can be faster.
    public var beforeCreate: ((SimulatedHost) throws -> Void)?
    /// What happens while somebody waits, one after the other; then time is up.
    public var events: [(SimulatedHost) throws -> Void] = []
    /// What is heard afterwards.
    public var news: [DeviceEvents.News] = []
    /// The time of day.
    public var time = Timestamp(seconds: 1_795_268_013, nanoseconds: 123_000_000)
    /// What was written down.
    public let records = Records()
    /// What was asked of the driver.
    public internal(set) var removals: [NamespaceRemoval] = []
    /// Whether the card fails when the driver wipes a namespace that is gone already.
    public var failsToWipe = false
    /// For whom revocations wait, in the driver's words.
    public var pins = ""
    /// Whether each retirement of a device was to take held namespaces away.
    public internal(set) var retirements: [Bool] = []
    /// Errors that were injected.
    public internal(set) var injections: [ErrorInjection] = []
    /// What was prepared last.
    public internal(set) var preparation: BindPreparation?

    var wasProbed = false
    private var areSignalsHeld = false

    /// A machine with that tree.
    public init(_ captured: CapturedTree = .twoCards) throws {
        tree = try captured.unpack()
        // So that a snapshot compares objects and not the directories for them.
        for directory in ["/dev", "/sys/class/iopmem"] { try tree.makeDirectory(directory) }
    }

    /// Its tree.
    public var root: SystemRoot { tree.root }

    /// Records an act, and says whether it is the one that fails.
    func shallFail(_ act: String) -> Bool {
        acts.append(act)
        return acts.count - 1 == failingAct || failing.contains(act)
    }

    /// See Host.
    public func write(_ value: String, to path: String) throws(Errno) {
        guard !shallFail("write \(value == "\n" ? "nothing" : value) to \(path)") else {
            throw Errno.ioError
        }
        do {
            try kernelTakes(value, path)
        } catch {
            throw error as? Errno ?? .ioError
        }
    }

    /// See Host.
    public func loadModule(_ name: String) throws(IopmemError) {
        guard !shallFail("modprobe \(name)"), hasModule else {
            throw IopmemError(.failed, "cannot load the module \(name)", because: "not found")
        }
        do {
            if name == "nvmet-tcp" { return try tree.makeDirectory("/sys/module/nvmet_tcp") }
            try tree.makeDirectory("/sys/bus/pci/drivers/\(name)")
            // A new driver is offered what is free.
            for address in try root.entries("/sys/bus/pci/devices") { try probe(address) }
        } catch {
            throw IopmemError(.failed, "\(error)")
        }
    }

    /// See Host.
    public func unloadModule(_ name: String) throws(IopmemError) {
        acts.append("modprobe -r \(name)")
        do {
            try tree.remove("/sys/bus/pci/drivers/\(name)")
        } catch {
            throw IopmemError(.failed, "\(error)")
        }
    }

    /// See Host.
    public func installedVersion(ofModule name: String) -> String? {
        hasModule ? installedVersion : nil
    }

    /// See Host.
    public func openControl() throws(Errno) -> any DriverControl {
        guard !shallFail("open control") else { throw Errno.permissionDenied }
        guard root.exists("/sys/bus/pci/drivers/iopmem") else { throw Errno.noSuchFileOrDirectory }
        openNodes += 1
        return SimulatedControl(self)
    }

    /// See Host.
    public func openRegion(_ region: Region) throws(Errno) -> any RegionControl {
        guard !shallFail("open \(region.dev)") else { throw Errno.ioError }
        openNodes += 1
        return SimulatedRegion(self, region)
    }

    /// See Host.
    public func watchNodes() throws(IopmemError) -> any NodeWatch {
        guard !shallFail("watch") else { throw IopmemError(.failed, "cannot listen") }
        return SimulatedWatch(self)
    }

    /// See Host.
    public func signatures(onNode path: String) throws(Errno) -> [Signature] {
        nodeSignatures[path] ?? []
    }

    /// See Host.
    public func processes(holding devices: Set<DeviceNumber>) -> [ProcessHolder] {
        guard let answer = processAnswers.first else { return [] }
        if processAnswers.count > 1 { processAnswers.removeFirst() }
        return answer.filter { devices.contains($0.device) }
    }

    /// See Host.
    public func isClaimed(_ path: String) -> Bool { claimedNodes.contains(path) }

    /// See Host.
    public func deviceNumber(of path: String) -> DeviceNumber? { nil }

    /// See Host.
    public func isDAX(_ path: String) -> Bool? { isDAXInEffect }

    /// For as many waits as there are `busyRounds`.
    public var isUdevBusy: Bool {
        guard busyRounds > 0 else { return false }
        busyRounds -= 1
        return true
    }

    /// See Host.
    public func waitForUdev(until deadline: Deadline) throws(IopmemError) {
        acts.append("wait for udev")
    }

    /// See Host.
    public func lockMachine(until deadline: Deadline) throws(IopmemError) -> any MachineLock {
        guard !isLockedByAnother else { throw IopmemError(.busy, "another iopmemctl") }
        return SimulatedLock()
    }

    /// See Host.
    public func replaceFile(_ path: String, with text: String) throws(IopmemError) {
        guard !shallFail("write the file \(path)") else {
            throw IopmemError(.failed, "cannot write \(path)", because: "No space left on device")
        }
        do {
            try tree.write(text, to: path)
        } catch {
            throw IopmemError(.failed, "\(error)")
        }
    }

    /// See Host.
    public func removeFile(_ path: String) throws(IopmemError) {
        acts.append("remove the file \(path)")
        do {
            try tree.remove(path)
        } catch {
            throw IopmemError(.failed, "\(error)")
        }
    }

    /// See Host. Of the NVMe target's configuration alone.
    public func makeDirectory(_ path: String) throws(Errno) {
        guard !shallFail("mkdir \(path)") else { throw Errno.ioError }
        guard !root.exists(path) else { return }
        let parts = path.split(separator: "/").map(String.init)
        let inside: [(String, String?)] =
            switch parts.dropLast().last {
            case "subsystems":
                [
                    ("namespaces", nil), ("allowed_hosts", nil), ("attr_allow_any_host", "0"),
                    ("attr_serial", "00"),
                ]
            case "namespaces": [("device_path", "(null)"), ("device_uuid", ""), ("enable", "0")]
            case "ports":
                [
                    ("subsystems", nil), ("addr_adrfam", ""), ("addr_trtype", ""),
                    ("addr_traddr", ""), ("addr_trsvcid", ""),
                ]
            default: []
            }
        attempt {
            try tree.makeDirectory(path)
            for (name, value) in inside {
                guard let value else {
                    try tree.makeDirectory("\(path)/\(name)")
                    continue
                }
                try tree.write(value, to: "\(path)/\(name)")
            }
        }
    }

    /// See Host.
    public func removeDirectory(_ path: String) throws(Errno) {
        guard !shallFail("rmdir \(path)") else { throw Errno.ioError }
        // What the kernel made goes with it; what was made in it keeps it.
        for folder in ["subsystems", "namespaces", "allowed_hosts"] {
            guard ((try? root.entries("\(path)/\(folder)")) ?? []).isEmpty else {
                throw Errno.directoryNotEmpty
            }
        }
        attempt { try tree.remove(path) }
    }

    /// See Host.
    public func makeLink(_ path: String, to target: String) throws(Errno) {
        guard !shallFail("link \(path)") else { throw Errno.addressInUse }
        attempt { try tree.link(path, to: root.resolve(target)) }
    }

    /// See Host.
    public func removeLink(_ path: String) throws(Errno) {
        guard !shallFail("unlink \(path)") else { throw Errno.ioError }
        attempt { try tree.remove(path) }
    }

    /// See Host.
    public func mountConfigfs() throws(IopmemError) {
        acts.append("mount configfs")
        attempt {
            for folder in ["subsystems", "ports", "hosts"] {
                try tree.makeDirectory("/sys/kernel/config/nvmet/\(folder)")
            }
        }
    }

    /// See Host.
    public func makeFilesystem(_ type: String, on node: String) throws(IopmemError) {
        guard !shallFail("make \(type) on \(node)") else {
            throw IopmemError(.failed, "cannot make \(type) on \(node)")
        }
    }

    /// See Host.
    public func now() -> Timestamp { time }

    /// See Host.
    public var journal: Logger {
        let records = records
        return Logger(label: "iopmemctl") { _ in records }
    }

    /// See Host.
    public func holdSignals() { areSignalsHeld = true }

    /// See Host.
    public func releaseSignals() { areSignalsHeld = false }

    /// SIGINT, once `signalAfterAct` is over.
    public func pendingSignal() -> Int32? {
        guard areSignalsHeld, let signalAfterAct, acts.count > signalAfterAct else { return nil }
        return 2
    }
}

private final class SimulatedLock: MachineLock {}

private final class SimulatedWatch: NodeWatch {
    private let host: SimulatedHost

    init(_ host: SimulatedHost) { self.host = host }

    func wait(
        for name: String, subsystem: String, isNew: Bool, until deadline: Deadline
    ) throws(IopmemError) {
        let late = IopmemError(
            IopmemError.Code.timedOut, "the node /dev/\(name) did not become ready in time")
        guard !host.shallFail("wait for \(isNew ? "new " : "")\(subsystem) \(name)"),
            host.busyRounds == 0
        else { throw late }
        let isThere =
            ["/dev/\(name)", "/dev/iopdax\(name.dropFirst(6))"].contains(where: host.root.exists)
            // The kernel's own memory has no node.
            || host.root.optionalText("/sys/class/iopmem/\(name)/mode") == "p2pdma"
        guard isThere else {
            throw IopmemError(
                IopmemError.Code.timedOut, "the node /dev/\(name) was never made")
        }
    }

    func next(until deadline: Deadline?) throws(IopmemError) -> DeviceEvents.News? {
        host.acts.append("wait for an event")
        if let event = host.events.first {
            host.events.removeFirst()
            do {
                try event(host)
            } catch {
                throw IopmemError(.failed, "\(error)")
            }
            return .event(.init(action: "change", subsystem: "other", name: "", path: ""))
        }
        return host.news.isEmpty ? nil : host.news.removeFirst()
    }
}
