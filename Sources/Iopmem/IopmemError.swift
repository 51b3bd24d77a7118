// SPDX-License-Identifier: GPL-2.0

/// The one error of this package: what failed on which object, why, and what to
/// do about it.
public struct IopmemError: Error, Equatable, Sendable {
    /// A stable word for scripts; it decides the exit status.
    public enum Code: String, Sendable, CaseIterable {
        /// The operation failed; the message says why.
        case failed
        /// What was asked for contradicts itself or the machine's limits.
        case invalid
        /// A recognised file system or partition table is in the way.
        case dataPresent = "data_present"
        /// Somebody must agree, and there is no terminal to ask on.
        case confirmationRequired = "confirmation_required"
        /// The awaited event did not come in time.
        case timedOut = "timed_out"
        /// SIGINT or SIGTERM came and everything was undone.
        case interrupted
        /// Tool and driver do not speak the same ABI.
        case abiMismatch = "abi_mismatch"
        /// No such device, region or namespace.
        case notFound = "not_found"
        /// Held, mounted, pinned, or another driver is in the way.
        case busy
        /// The caller may not do it.
        case permission
        /// This kernel, device or topology cannot do it.
        case unsupported
        /// Wrong data, or a transfer that was not direct.
        case verification
        /// Some of several targets are done, others are not.
        case partial
        /// The command line was wrong.
        case usage
    }

    /// What kind of failure it is.
    public var code: Code
    /// The object, what failed on it, and why; no full stop at the end.
    public var message: String
    /// What to do next, where there is something.
    public var remedy: String?
    /// The signal that caused `.interrupted`.
    public var signal: Int32?

    /// An error whose sentence is `message`, or `message: cause`.
    public init(
        _ code: Code, _ message: String, because cause: String? = nil, remedy: String? = nil,
        signal: Int32? = nil
    ) {
        self.code = code
        if let cause, !cause.isEmpty {
            self.message = "\(message): \(cause)"
        } else {
            self.message = message
        }
        self.remedy = remedy
        self.signal = signal
    }

    /// What the process exits with, as the public contract lists it.
    ///
    /// `.interrupted` is the shell's 128 + signal: 130 after Ctrl-C.
    public var exitStatus: Int32 {
        switch code {
        case .failed, .invalid, .dataPresent, .confirmationRequired, .timedOut, .abiMismatch: 1
        case .interrupted: 128 + (signal ?? 2)
        case .notFound: 3
        case .busy: 4
        case .permission: 5
        case .unsupported: 6
        case .verification: 7
        case .partial: 8
        case .usage: 64
        }
    }
}
