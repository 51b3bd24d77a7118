// SPDX-License-Identifier: GPL-2.0
import CLibUdev
import Glibc
public import SystemPackage

/// Listens for devices that come and go, through libudev.
///
/// Where udevd runs, its own events are listened to, which come after its rules
/// have made links and permissions; else the kernel's.
public final class DeviceEvents {
    /// Something that happened to a device.
    public struct Event: Equatable, Sendable {
        /// `add`, `remove`, `change`, `bind`, ….
        public var action: String
        /// `iopmem`, `block`, ….
        public var subsystem: String
        /// The kernel's name.
        public var name: String
    }

    /// How a wait ended.
    public enum Wait: Equatable, Sendable {
        /// Something happened.
        case event(Event)
        /// The deadline passed first.
        case timedOut
        /// A signal that is held back came first.
        case interrupted
    }

    private let udev: OpaquePointer
    private let monitor: OpaquePointer
    /// Whether udevd takes part.
    public let usesDaemon: Bool

    /// Whether udevd runs.
    public static var isDaemonRunning: Bool { access("/run/udev/control", F_OK) == 0 }

    /// Starts to listen to these subsystems.
    public init(subsystems: [String]) throws(Errno) {
        usesDaemon = Self.isDaemonRunning
        guard let udev = udev_new() else { throw Errno.noMemory }
        guard let monitor = udev_monitor_new_from_netlink(udev, usesDaemon ? "udev" : "kernel")
        else {
            udev_unref(udev)
            throw Errno.ioError
        }
        self.udev = udev
        self.monitor = monitor
        for subsystem in subsystems {
            try Self.checked(
                udev_monitor_filter_add_match_subsystem_devtype(monitor, subsystem, nil))
        }
        try Self.checked(udev_monitor_enable_receiving(monitor))
    }

    deinit {
        udev_monitor_unref(monitor)
        udev_unref(udev)
    }

    /// Waits for the next event.
    public func next(until deadline: Deadline, signals: SignalHold?) throws(Errno) -> Wait {
        let wait = try poll(
            descriptor: udev_monitor_get_fd(monitor), until: deadline, signals: signals)
        guard wait == .ready else { return wait == .timedOut ? .timedOut : .interrupted }
        guard let device = udev_monitor_receive_device(monitor) else {
            // The kernel dropped events because they came too fast. The caller
            // looks at the state of its device after each event anyway.
            return .event(Event(action: "", subsystem: "", name: ""))
        }
        defer { udev_device_unref(device) }
        return .event(
            Event(
                action: udev_device_get_action(device).map { String(cString: $0) } ?? "",
                subsystem: udev_device_get_subsystem(device).map { String(cString: $0) } ?? "",
                name: udev_device_get_sysname(device).map { String(cString: $0) } ?? ""))
    }

    /// Whether the device stands in /dev and udev, where it runs, has finished
    /// with it.
    public func isReady(name: String, subsystem: String) -> Bool {
        guard let device = udev_device_new_from_subsystem_sysname(udev, subsystem, name) else {
            return false
        }
        defer { udev_device_unref(device) }
        guard let node = udev_device_get_devnode(device), access(node, F_OK) == 0 else {
            return false
        }
        return !usesDaemon || udev_device_get_is_initialized(device) > 0
    }

    private static func checked(_ result: CInt) throws(Errno) {
        guard result >= 0 else { throw Errno(rawValue: -result) }
    }
}

/// udev's queue of events that it has not yet dealt with.
public enum EventQueue {
    /// Returns when the queue is empty, at once if udevd does not run.
    public static func waitUntilEmpty(
        until deadline: Deadline, signals: SignalHold?
    ) throws(Errno) -> Bool {
        guard DeviceEvents.isDaemonRunning else { return true }
        guard let udev = udev_new() else { throw Errno.noMemory }
        defer { udev_unref(udev) }
        guard let queue = udev_queue_new(udev) else { throw Errno.noMemory }
        defer { udev_queue_unref(queue) }
        let descriptor = udev_queue_get_fd(queue)
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        while udev_queue_get_queue_is_empty(queue) == 0 {
            let wait = try poll(descriptor: descriptor, until: deadline, signals: signals)
            guard wait == .ready else { return false }
            udev_queue_flush(queue)
        }
        return true
    }
}

enum Readiness: Equatable {
    case ready
    case timedOut
    case interrupted
}

/// Waits until `descriptor` can be read, a held signal comes, or it is too late.
func poll(
    descriptor: CInt, until deadline: Deadline, signals: SignalHold?
) throws(Errno) -> Readiness {
    var watched = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        // poll(2) leaves out a negative descriptor.
        pollfd(fd: signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    let count = try retrying {
        Glibc.poll(&watched, nfds_t(watched.count), deadline.pollTimeout)
    }
    if watched[1].revents != 0 { return .interrupted }
    return count == 0 ? .timedOut : .ready
}
