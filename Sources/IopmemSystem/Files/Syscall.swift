// SPDX-License-Identifier: GPL-2.0
import Glibc
public import SystemPackage

/// Runs a system call whose failure is -1 and the reason in `errno`.
///
/// The one place of this module where `errno` is read. A call that a signal
/// interrupted is made again, because none of our handlers changes what the
/// call was about.
@discardableResult
public func retrying<Result: FixedWidthInteger>(
    _ call: () -> Result
) throws(Errno) -> Result {
    while true {
        let result = call()
        guard result == -1 else { return result }
        let error = Errno(rawValue: errno)
        guard error == .interrupted else { throw error }
    }
}

/// The same for calls that return a pointer, or nil on failure.
func retryingPointer<Pointer>(_ call: () -> Pointer?) throws(Errno) -> Pointer {
    while true {
        if let pointer = call() { return pointer }
        let error = Errno(rawValue: errno)
        guard error == .interrupted else { throw error }
    }
}
