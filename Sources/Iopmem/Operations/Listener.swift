// SPDX-License-Identifier: GPL-2.0

/// Whom an operation tells what it does.
public protocol Listener {
    /// A step that is about to be made.
    func step(_ text: @autoclosure () -> String)
    /// Something worth knowing.
    func note(_ text: String)
    /// Something that may go wrong although the operation succeeds.
    func warn(_ text: String)
    /// Begins to follow a step that takes long.
    func follow(_ step: String, bytes: UInt64) -> StepProgress
}

/// Where a long step says how far it is.
public struct StepProgress {
    /// Takes how many bytes are done.
    public let update: (UInt64) -> Void
    /// The step is over.
    public let end: () -> Void

    /// Through these.
    public init(update: @escaping (UInt64) -> Void, end: @escaping () -> Void) {
        self.update = update
        self.end = end
    }
}
