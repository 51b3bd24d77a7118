// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem
public import Logging
public import SystemPackage

/// What the operations need from a machine, apart from reading files.
///
/// Files (sysfs, procfs, /boot) are read below `root`; everything that acts,
/// waits or looks into other processes is a method, so that a simulated machine
/// can answer, fail at any step, and record what was asked.
public protocol Host {
    /// The file tree that readers look at.
    var root: SystemRoot { get }
    /// Whether the caller is root.
    var isPrivileged: Bool { get }

    /// Writes one value to a sysfs attribute.
    func write(_ value: String, to path: String) throws(Errno)
    /// Loads a module with modprobe; `.failed` carries modprobe's words.
    func loadModule(_ name: String) throws(IopmemError)
    /// Unloads a module, with what only it needed; `.failed` carries modprobe's
    /// words.
    func unloadModule(_ name: String) throws(IopmemError)
    /// The version of the module that would be loaded by that name; nil where there is none, or
    /// it cannot be asked.
    func installedVersion(ofModule name: String) -> String?
    /// Opens the driver's control node.
    func openControl() throws(Errno) -> any DriverControl
    /// Opens a region's node.
    func openRegion(_ region: Region) throws(Errno) -> any RegionControl
    /// Starts to listen for nodes; to be called before what makes them.
    func watchNodes() throws(IopmemError) -> any NodeWatch

    /// All signatures on a block node, by libblkid.
    func signatures(onNode path: String) throws(Errno) -> [Signature]
    /// Processes that have one of these device nodes open.
    func processes(holding devices: Set<DeviceNumber>) -> [ProcessHolder]
    /// Whether somebody has claimed the block node for itself (O_EXCL): a
    /// mount, swap, a mapped or an assembled device, or a program.
    func isClaimed(_ path: String) -> Bool
    /// The number of a device node, nil if there is none at `path`.
    func deviceNumber(of path: String) -> DeviceNumber?
    /// Whether DAX is in effect for the file at `path` (statx); nil if the
    /// kernel does not say.
    func isDAX(_ path: String) -> Bool?

    /// Keeps other runs of the tool that ask for it too out until the answer is
    /// dropped; fails with `.busy` at the deadline, and with `.interrupted` when a
    /// held signal comes first.
    func lockMachine(until deadline: Deadline) throws(IopmemError) -> any MachineLock

    /// Puts a file that everybody may read in the place of `path`, whose directories
    /// are made if need be: whoever reads sees the old one or the new one, whole,
    /// also after a power cut.
    func replaceFile(_ path: String, with text: String) throws(IopmemError)
    /// Removes a file.
    func removeFile(_ path: String) throws(IopmemError)
    /// Makes a directory of a configuration (configfs), unless it is there.
    func makeDirectory(_ path: String) throws(Errno)
    /// Removes one.
    func removeDirectory(_ path: String) throws(Errno)
    /// Makes a symbolic link in a configuration, unless it is there.
    func makeLink(_ path: String, to target: String) throws(Errno)
    /// Removes one.
    func removeLink(_ path: String) throws(Errno)
    /// Mounts configfs where it belongs.
    func mountConfigfs() throws(IopmemError)
    /// Makes a file system that can be mounted with DAX: `ext4` or `xfs`.
    func makeFilesystem(_ type: String, on node: String) throws(IopmemError)

    /// Whether udev has something queued; not where it does not run.
    var isUdevBusy: Bool { get }
    /// Returns when udev has nothing queued, at once if it does not run.
    func waitForUdev(until deadline: Deadline) throws(IopmemError)

    /// The time of day.
    func now() -> Timestamp
    /// Where changes are written down.
    var journal: Logger { get }

    /// From now on SIGINT, SIGTERM and SIGHUP wait until `pendingSignal` is
    /// asked, so that what was begun can be finished or undone.
    func holdSignals()
    /// Lets them through again: one that has come meanwhile is obeyed now.
    func releaseSignals()
    /// The signal that has come since, if any.
    func pendingSignal() -> Int32?
}

/// Other runs of the tool wait for as long as somebody has it.
public protocol MachineLock: AnyObject {}

/// The driver's control node, open.
public protocol DriverControl: AnyObject {
    /// The driver's version.
    func version() throws(DriverRefusal) -> DriverVersion
    /// Says how the next probe of a function shall go.
    func prepareBind(_ preparation: BindPreparation) throws(DriverRefusal)
    /// What became of the prepared probe.
    func bindResult() throws(DriverRefusal) -> BindResult
    /// Destroys every namespace of a device, or none; returns how many went. `watch` is called now
    /// and then while they are taken away from their users.
    func retire(
        _ function: FunctionNumber, revoke: Bool, watch: () -> Void
    ) throws(DriverRefusal) -> Int
    /// Closes it: a preparation or retirement ends here.
    func close()
}

/// A region's node, open.
public protocol RegionControl: AnyObject {
    /// The driver's version.
    func version() throws(DriverRefusal) -> DriverVersion
    /// Signatures in the bytes of `range`, as if they were a disk.
    func signatures(in range: Range<UInt64>) throws(Errno) -> [Signature]
    /// Makes a namespace.
    func create(_ request: NamespaceRequest) throws(DriverRefusal) -> NamespacePlace
    /// Unmakes one; `watch` is called now and then while all of it is overwritten, or taken away
    /// from its users.
    func destroy(_ request: NamespaceRemoval, watch: () -> Void) throws(DriverRefusal)
    /// Keeps other tools out until it is closed; fails with EINTR when a held
    /// signal comes first, and with EAGAIN at the deadline.
    func lock(until deadline: Deadline) throws(Errno)
    /// Bytes of the region, fewer than `count` only at its end.
    func read(count: Int, at offset: UInt64) throws(Errno) -> [UInt8]
    /// Keeps the first `length` bytes free of namespaces, for labels.
    func setLabelArea(length: UInt64) throws(DriverRefusal)
    /// Writes within the label area; the bytes are on the device afterwards.
    func writeLabels(_ bytes: [UInt8], at offset: UInt64) throws(DriverRefusal)
    /// Makes blocks of a namespace bad, in drivers that were built for it.
    func injectError(_ request: ErrorInjection) throws(DriverRefusal)
    /// Closes it.
    func close()
}

/// Somebody who listens for device nodes.
public protocol NodeWatch: AnyObject {
    /// Returns when the node of the device `name` in `subsystem` can be used:
    /// it stands in /dev, and udev, where it runs, has finished with it, and not only with one of
    /// the same name that has gone. For that the caller has to know whether it `isNew`: made
    /// after the watch began.
    func wait(
        for name: String, subsystem: String, isNew: Bool, until deadline: Deadline
    ) throws(IopmemError)

    /// Returns with the next news of any device, or with nil at the deadline;
    /// without one it waits for ever.
    func next(until deadline: Deadline?) throws(IopmemError) -> DeviceEvents.News?
}
