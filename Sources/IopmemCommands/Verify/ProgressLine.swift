// SPDX-License-Identifier: GPL-2.0
import Glibc
import Iopmem
import IopmemVerify

/// One line on the terminal that says how far a run is, and goes away.
///
/// Nothing is written where stderr is no terminal: a log has no use for it.
final class ProgressLine {
    private let isOn: Bool
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var last: ContinuousClock.Instant?
    private var isShown = false

    init(isQuiet: Bool) {
        isOn = !isQuiet && isatty(STDERR_FILENO) == 1
        start = clock.now
    }

    /// Shows it, at most five times a second.
    func show(_ progress: VerifyRun.Progress) {
        guard isOn else { return }
        let now = clock.now
        if let last, now - last < .milliseconds(200) { return }
        last = now
        isShown = true
        let percent = progress.done * 100 / max(progress.total, 1)
        Console.writeToStandardError(
            "\r\u{1b}[K\(progress.phase.rawValue) \(percent)%  \(ByteSize.display(progress.done)) of "
                + "\(ByteSize.display(progress.total)), \((now - start).components.seconds) s")
    }

    /// Takes it away, so that something else can be written.
    func clear() {
        guard isShown else { return }
        isShown = false
        Console.writeToStandardError("\r\u{1b}[K")
    }
}
