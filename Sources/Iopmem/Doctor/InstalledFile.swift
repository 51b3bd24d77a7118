// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// A file for udev or systemd, which both look for in the same places.
struct InstalledFile {
    /// Its name.
    let name: String
    /// The folder that it is in; nil if it is in none of them.
    let folder: String?

    /// In the order of precedence (udev(7), systemd.unit(5)).
    private static let places = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"]

    /// - Parameter folder: Below each place: `udev/rules.d`, `systemd/system`.
    init(_ name: String, below folder: String, root: SystemRoot) {
        self.name = name
        self.folder = Self.places.lazy.map { "\($0)/\(folder)" }
            .first { root.exists("\($0)/\(name)") }
    }
}
