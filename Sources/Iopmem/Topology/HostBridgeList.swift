// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What a root complex is known to do with transfers from one of its ports to another.
///
/// No register tells it; the kernel's p2pdma code has a list, and so have we
/// (drivers/pci/p2pdma.c, pci_p2pdma_whitelist[]).
struct HostBridgeList {
    /// A root complex, by the device that the kernel knows it by.
    private struct Entry {
        let vendor: UInt16
        /// Nil for all of the vendor's.
        let device: UInt16?
        /// Between its own ports only, and not to another host bridge.
        var isWithinOnly = false
        /// The first kernel that has it of those whose source was read: 6.1, 6.12, 7.2, 7.3.
        var since = KernelRelease(major: 6, minor: 1)
    }

    private static let entries: [Entry] =
        // Xeon E5, E7 v3 and the Core i7 of their times.
        [0x3c00, 0x3c01, 0x2f00, 0x2f01].map {
            Entry(vendor: 0x8086, device: $0, isWithinOnly: true)
        }
        // Skylake-E, Ice Lake.
        + [0x2030, 0x2031, 0x2032, 0x2033, 0x2020, 0x09a2].map { Entry(vendor: 0x8086, device: $0) }
        // Where the first device below a host bridge is an accelerator: DSA, IAA, QAT.
        + [
            0x0b25, 0x0cfe, 0x11fb, 0x1212, 0x1216, 0x4940, 0x4942, 0x4944, 0x4946, 0x4948,
        ].map { Entry(vendor: 0x8086, device: $0, since: KernelRelease(major: 7, minor: 2)) }
        + [Entry(vendor: 0x1ae0, device: nil, since: KernelRelease(major: 7, minor: 2))]
        + [0x2f95, 0x2f96, 0x2f97, 0x2f98].map {
            Entry(vendor: 0x10de, device: $0, since: KernelRelease(major: 7, minor: 3))
        }

    private let entries: [Entry]
    /// Whether the processor is one whose root complexes all forward: AMD's from Zen on
    /// (cpu_supports_p2pdma()).
    let isZen: Bool

    /// The list of the kernel that runs below `root`; all of it where no release can be read.
    init(root: SystemRoot) {
        let release = root.optionalText("/proc/sys/kernel/osrelease").flatMap { KernelRelease($0) }
        entries = Self.entries.filter { entry in release.map { entry.since <= $0 } ?? true }
        isZen = Self.isZen(Processor(root: root))
    }

    /// Whether transfers between ports of a root complex are forwarded.
    ///
    /// - Parameters:
    ///   - bridge: The device that stands for it, see ``PCITree``; nil where there is none.
    ///   - isWithin: Whether both ports are its own.
    func forwards(_ bridge: Device?, isWithin: Bool) -> Bool {
        guard let bridge else { return false }
        let entry = entries.first {
            $0.vendor == bridge.vendorID && ($0.device ?? bridge.deviceID) == bridge.deviceID
        }
        return entry.map { isWithin || !$0.isWithinOnly } ?? false
    }

    private static func isZen(_ processor: Processor) -> Bool {
        processor["vendor_id"] == "AuthenticAMD"
            && processor["cpu family"].flatMap { Int($0) } ?? 0 >= 0x17
    }
}

/// The two numbers of a kernel's release that decide what it can do.
struct KernelRelease: Comparable {
    let major: Int
    let minor: Int

    init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// From `7.2.12+deb13-amd64` or `6.13-rc1`.
    init?(_ text: String) {
        let numbers = text.split(separator: ".", maxSplits: 2).map { $0.prefix(while: \.isNumber) }
        guard numbers.count >= 2, let major = Int(numbers[0]), let minor = Int(numbers[1]) else {
            return nil
        }
        self.init(major: major, minor: minor)
    }

    static func < (left: KernelRelease, right: KernelRelease) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}
