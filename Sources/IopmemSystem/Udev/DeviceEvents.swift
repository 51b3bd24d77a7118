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
        /// Where it is in sysfs, from `/devices` on.
        public var path: String
        /// What the driver says in addition: the properties `IOPMEM_…`.
        public var properties: [String: String]

        /// An event as it came.
        public init(
            action: String, subsystem: String, name: String, path: String,
            properties: [String: String] = [:]
        ) {
            self.action = action
            self.subsystem = subsystem
            self.name = name
            self.path = path
            self.properties = properties
        }
    }

    /// What one can hear.
    public enum News: Equatable, Sendable {
        /// Something happened.
        case event(Event)
        /// Events came faster than they were read, and some are gone.
        case lost
    }

    /// How a wait ended.
    public enum Wait: Equatable, Sendable {
        /// With that.
        case news(News)
        /// The deadline passed first.
        case timedOut
        /// A signal that is held back came first.
        case interrupted
    }

    private let udev: OpaquePointer
    private let monitor: OpaquePointer
    /// When this began, in microseconds by the clock that udev takes its notes by.
    private let start = Monotonic.nanoseconds() / 1000
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

    /// Waits for the next event; for ever, if there is no deadline.
    public func next(until deadline: Deadline?, signals: SignalHold?) throws(Errno) -> Wait {
        while true {
            let wait = try poll(
                descriptor: udev_monitor_get_fd(monitor), until: deadline, signals: signals)
            guard wait == .ready else { return wait == .timedOut ? .timedOut : .interrupted }
            let device: OpaquePointer
            do throws(Errno) {
                device = try retryingPointer { udev_monitor_receive_device(monitor) }
            } catch .resourceTemporarilyUnavailable {
                // What came was of another subsystem.
                continue
            } catch .noBufferSpace {
                return .news(.lost)
            }
            defer { udev_device_unref(device) }
            return .news(.event(Self.event(of: device)))
        }
    }

    private static func event(of device: OpaquePointer) -> Event {
        func text(_ pointer: UnsafePointer<CChar>?) -> String {
            pointer.map { String(cString: $0) } ?? ""
        }
        var properties: [String: String] = [:]
        var entry = udev_device_get_properties_list_entry(device)
        while let current = entry {
            let name = text(udev_list_entry_get_name(current))
            if name.hasPrefix("IOPMEM_") {
                properties[name] = text(udev_list_entry_get_value(current))
            }
            entry = udev_list_entry_get_next(current)
        }
        return Event(
            action: text(udev_device_get_action(device)),
            subsystem: text(udev_device_get_subsystem(device)),
            name: text(udev_device_get_sysname(device)),
            path: text(udev_device_get_devpath(device)), properties: properties)
    }

    /// Whether the device stands in /dev and udev, where it runs, has finished
    /// with it.
    ///
    /// Of a device that has gone, udev's notes stay until its turn has come, and a new one with
    /// its number is taken for it. So a device that `isNew`, which was made after the
    /// listening began, must have been noted since.
    public func isReady(name: String, subsystem: String, isNew: Bool) -> Bool {
        guard let device = udev_device_new_from_subsystem_sysname(udev, subsystem, name) else {
            return false
        }
        defer { udev_device_unref(device) }
        // Without a node there is nothing that udev would have to do.
        guard let node = udev_device_get_devnode(device) else { return true }
        guard access(node, F_OK) == 0 else { return false }
        guard usesDaemon else { return true }
        guard udev_device_get_is_initialized(device) > 0 else { return false }
        // In microseconds; 0 where udev's rules had nothing to note, and nothing can be outdated.
        let age = udev_device_get_usec_since_initialized(device)
        return !isNew || Monotonic.nanoseconds() / 1000 - age >= start
    }

    private static func checked(_ result: CInt) throws(Errno) {
        guard result >= 0 else { throw Errno(rawValue: -result) }
    }
}

/// udev's queue of events that it has not yet dealt with.
public enum EventQueue {
    /// Whether there are some.
    public static var isBusy: Bool {
        get throws(Errno) {
            guard DeviceEvents.isDaemonRunning else { return false }
            guard let udev = udev_new() else { throw Errno.noMemory }
            defer { udev_unref(udev) }
            guard let queue = udev_queue_new(udev) else { throw Errno.noMemory }
            defer { udev_queue_unref(queue) }
            return udev_queue_get_queue_is_empty(queue) == 0
        }
    }

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

/// Waits until `descriptor` can be read, a held signal comes, or it is too late, if
/// it can be.
func poll(
    descriptor: CInt, until deadline: Deadline?, signals: SignalHold?
) throws(Errno) -> Readiness {
    var watched = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        // poll(2) leaves out a negative descriptor.
        pollfd(fd: signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    let count = try retrying {
        // Without a deadline: for ever.
        Glibc.poll(&watched, nfds_t(watched.count), deadline?.pollTimeout ?? -1)
    }
    if watched[1].revents != 0 { return .interrupted }
    return count == 0 ? .timedOut : .ready
}
