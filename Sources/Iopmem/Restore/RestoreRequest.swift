// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What `restore` came to.
public struct RestoreOutcome: Sendable, Equatable {
    /// Namespaces that it brought back.
    public var restored: [Namespace] = []
    /// Namespaces that stood already.
    public var standing: [Namespace] = []
    /// What could not be brought back, and why.
    public var failures: [IopmemError] = []

    /// Nothing was there.
    public init() {}

    mutating func add(_ other: RestoreOutcome) {
        restored += other.restored
        standing += other.standing
        failures += other.failures
    }
}

/// Which namespaces shall come back.
public struct RestoreRequest: Sendable, Equatable {
    /// Those of this function, which is bound if need be; nil for those of all
    /// functions that are bound or that a file describes.
    public var address: PCIAddress?
    /// Take the function from a driver that is bound to it.
    public var force: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(address: PCIAddress? = nil, force: Bool = false, dryRun: Bool = false) {
        self.address = address
        self.force = force
        self.dryRun = dryRun
    }
}
