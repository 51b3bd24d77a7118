// SPDX-License-Identifier: GPL-2.0

/// What the exit statuses mean, in words; the numbers are those of
/// ``IopmemError/exitStatus``.
public enum ExitStatus {
    /// In order.
    public static let all: [(status: Int, meaning: String)] = [
        (0, "Done; also when it already was so."),
        (1, "Failed, and the message says why and what to do."),
        (3, "No such device, region or namespace."),
        (4, "Busy: held, mounted, pinned; the message names the holder."),
        (5, "No permission."),
        (6, "This kernel, device or topology cannot do it."),
        (7, "Verification found wrong data, or a transfer that was not direct."),
        (8, "Some of several targets done, each reported."),
        (64, "Wrong usage."),
        (130, "Interrupted by Ctrl-C (128 + the signal's number); what was begun is undone."),
    ]
}
