// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// What became of what an interrupted run had promised.
///
/// Its last blocks are in one of three states: promised, durable before the run went on; announced,
/// begun and perhaps written, the window; and not begun.
public struct PromiseOutcome: Sendable, Equatable, Encodable {
    /// The loop that was interrupted, from 0.
    public var loop: UInt64 = 0
    /// Blocks that were promised, of this loop and of the one before where this one had not come to
    /// them.
    public var promised: UInt64 = 0
    /// Those that are there.
    public var kept: UInt64 = 0
    /// Those that are not.
    public var broken: UInt64 = 0
    /// Blocks in the window.
    public var window: UInt64 = 0
    /// Those of them that are the new ones.
    public var windowNew: UInt64 = 0
    /// Those that are what was there before.
    public var windowOld: UInt64 = 0
    /// Those that are neither.
    public var windowTorn: UInt64 = 0
    /// Blocks of which nothing was known: not begun, in the first loop.
    public var unpromised: UInt64 = 0

    private enum CodingKeys: String, CodingKey {
        case loop, promised, kept, broken, window
        case windowNew = "window_new"
        case windowOld = "window_old"
        case windowTorn = "window_torn"
        case unpromised
    }

    func failures(on target: String) -> [IopmemError] {
        var failures: [IopmemError] = []
        if broken > 0 {
            failures.append(
                IopmemError(
                    .verification,
                    "\(target): \(broken) of \(promised) promised blocks are not there",
                    because: "they were flushed before the run was interrupted",
                    remedy:
                        "see how the memory keeps its contents: iopmemctl list shows its media"))
        }
        if windowTorn > 0 {
            failures.append(
                IopmemError(
                    .verification,
                    "\(target): \(windowTorn) of \(window) blocks that were being written are torn",
                    because: "they are neither what was there before nor what was being written"))
        }
        return failures
    }
}
