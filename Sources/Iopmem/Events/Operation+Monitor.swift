// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

extension Operation {
    /// Tells each event when it comes, and goes on until `tell` throws.
    ///
    /// Changes nothing and needs no root.
    public func monitor(
        _ tell: (MachineEvent) throws(IopmemError) -> Void
    ) throws(IopmemError) {
        let watch = try host.watchNodes()
        listener.note("following events; stop with Ctrl-C")
        while let news = try watch.next(until: nil) {
            switch news {
            case .lost:
                try tell(MachineEvent(.lost, at: host.now()))
            case .event(let event):
                guard let found = MachineEvent(event, at: host.now(), root: host.root) else {
                    continue
                }
                try tell(found)
            }
        }
    }
}
