// SPDX-License-Identifier: GPL-2.0
public import SystemPackage

extension IopmemError {
    /// An error from a system call: the sentence is `message: strerror`.
    public init(_ errno: Errno, _ message: String, remedy: String? = nil) {
        let code = Code(errno)
        self.init(
            code, message, because: errno.description,
            remedy: remedy ?? (code == .permission ? "run it as root" : nil))
    }
}

extension IopmemError.Code {
    /// The kind of failure that an errno means when nothing better is known.
    public init(_ errno: Errno) {
        switch errno {
        case .notPermitted, .permissionDenied: self = .permission
        case .resourceBusy: self = .busy
        case .operationNotSupportedByDevice, .noSuchAddressOrDevice: self = .notFound
        case .notSupported, .notSupportedOnSocket: self = .unsupported
        default: self = .failed
        }
    }
}
