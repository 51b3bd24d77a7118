// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

extension Operation {
    /// Waits for the node of a new device, with a watch that began before it was made.
    ///
    /// udev takes one after the other, and where a large machine boots there can be minutes of
    /// others before it: as long as it has something to do, it has more than one `patience`.
    func wait(
        for dev: String, subsystem: String, with watch: any NodeWatch
    ) throws(IopmemError) {
        for _ in 1..<Self.rounds {
            do throws(IopmemError) {
                return try watch.wait(
                    for: dev, subsystem: subsystem, isNew: true, until: Deadline(in: patience))
            } catch {
                guard error.code == .timedOut, host.isUdevBusy else { throw error }
                listener.step("wait on for \(dev): udev is busy")
            }
        }
        try watch.wait(for: dev, subsystem: subsystem, isNew: true, until: Deadline(in: patience))
    }

    /// Returns the namespace that `name` means once it is ready to be used: it
    /// is enabled, its node stands in /dev, and udev has finished with it.
    ///
    /// The namespace need not exist when the waiting begins. Changes nothing,
    /// and so needs neither root nor held signals.
    public func wait(
        for name: String, timeout: Duration
    ) throws(IopmemError) -> Namespace {
        let deadline = Deadline(in: timeout)
        // Before the first look, so that nothing happens unseen in between.
        let watch = try host.watchNodes()
        var isNew = false
        while true {
            let inventory = try Inventory(root: host.root)
            let found = inventory.findNamespace(named: name, root: host.root)
            if let found, found.state == .enabled {
                try watch.wait(
                    for: found.dev, subsystem: found.subsystem, isNew: isNew, until: deadline)
                return found
            }
            isNew = found == nil
            guard try watch.next(until: deadline) != nil else {
                throw IopmemError(
                    .timedOut,
                    "no namespace \(name) became ready within \(timeout.components.seconds) s",
                    remedy: "show what there is: iopmemctl list")
            }
        }
    }
}
