// SPDX-License-Identifier: GPL-2.0
import Glibc
import SystemPackage

/// A device number, written `major:minor` as in sysfs' `dev` and in mountinfo.
public struct DeviceNumber: Hashable, Sendable, CustomStringConvertible {
    /// The driver's half.
    public let major: UInt32
    /// The device's half.
    public let minor: UInt32
    /// Whether it is a block device's: both kinds count from 0.
    public let isBlock: Bool

    /// The number with these halves; a block device's unless said otherwise.
    public init(major: UInt32, minor: UInt32, isBlock: Bool = true) {
        self.major = major
        self.minor = minor
        self.isBlock = isBlock
    }

    /// Reads `259:0`; a block device's unless said otherwise.
    public init?(_ text: some StringProtocol, isBlock: Bool = true) {
        let halves = text.split(separator: ":", omittingEmptySubsequences: false)
            .map { UInt32($0) }
        guard halves.count == 2, let major = halves[0], let minor = halves[1] else { return nil }
        self.init(major: major, minor: minor, isBlock: isBlock)
    }

    /// The number of the node at `path`, links followed; nil if it is no device
    /// node.
    public init?(node path: String) {
        var status = stat()
        guard (try? retrying({ stat(path, &status) })) != nil else { return nil }
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFBLK || kind == S_IFCHR else { return nil }
        // glibc's dev_t: 12 + 20 bits of major, 8 + 24 bits of minor, interleaved.
        let dev = UInt64(status.st_rdev)
        self.init(
            major: UInt32(truncatingIfNeeded: (dev >> 8) & 0xfff | (dev >> 32) & ~0xfff),
            minor: UInt32(truncatingIfNeeded: dev & 0xff | (dev >> 12) & ~0xff),
            isBlock: kind == S_IFBLK)
    }

    /// `259:0`.
    public var description: String { "\(major):\(minor)" }
}
