// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

extension Operation {
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
        while true {
            let inventory = try Inventory(root: host.root)
            if let found = inventory.findNamespace(named: name, root: host.root),
                found.state == .enabled
            {
                try watch.wait(for: found.dev, subsystem: found.subsystem, until: deadline)
                return found
            }
            guard try watch.next(until: deadline) != nil else {
                throw IopmemError(
                    .timedOut,
                    "no namespace \(name) became ready within \(timeout.components.seconds) s",
                    remedy: "show what there is: iopmemctl list")
            }
        }
    }
}
