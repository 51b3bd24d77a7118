// SPDX-License-Identifier: GPL-2.0

/// Whom an operation tells what it does.
public protocol Listener {
    /// A step that is about to be made.
    func step(_ text: @autoclosure () -> String)
    /// Something worth knowing.
    func note(_ text: String)
    /// Something that may go wrong although the operation succeeds.
    func warn(_ text: String)
}
