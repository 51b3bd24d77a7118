// SPDX-License-Identifier: GPL-2.0
public import SystemPackage

/// The driver's no: an errno for programs and its own sentence for people.
public struct DriverRefusal: Error, Equatable, Sendable {
    /// What the ioctl failed with; the UAPI header lists them per ioctl.
    public var errno: Errno
    /// The driver's reason; empty if it gave none.
    public var reason: String

    /// A refusal as the driver gives it.
    public init(_ errno: Errno, reason: String = "") {
        self.errno = errno
        self.reason = reason
    }

    /// The reason, or the errno's text where there is none.
    public var explanation: String {
        reason.isEmpty ? errno.description : reason
    }
}
