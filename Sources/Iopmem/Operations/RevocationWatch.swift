// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// Passes on for whom a revocation waits: pins that no one can take back, and importers of dma-bufs
/// that do not let go.
///
/// The driver finds out after two seconds and looks again every five; it says so in the kernel's log,
/// and in sysfs for as long as it waits.
final class RevocationWatch {
    private let root: SystemRoot
    private let regions: [String]
    private let listener: any Listener
    private var told: [String] = []

    /// - Parameter regions: Those that are looked at, by kernel name.
    init(_ regions: [String], root: SystemRoot, telling listener: any Listener) {
        self.regions = regions
        self.root = root
        self.listener = listener
    }

    /// Tells what has not been told.
    func look() {
        for region in regions {
            let text = root.optionalText("/sys/class/iopmem/\(region)/waits_for") ?? ""
            guard !text.isEmpty, !told.contains(text) else { continue }
            told.append(text)
            listener.note("waiting for \(text)")
        }
    }
}
