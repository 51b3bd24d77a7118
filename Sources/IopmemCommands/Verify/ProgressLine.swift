// SPDX-License-Identifier: GPL-2.0
import Glibc
import Iopmem
import IopmemVerify

/// One line on the terminal that says how far a run is, and goes away.
///
/// Nothing is written where stderr is no terminal: a log has no use for it.
final class ProgressLine {
    private let isOn: Bool
    private let write: (String) -> Void
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var last: ContinuousClock.Instant?
    private var isShown = false
    private var rate = RecentRate()

    init(
        isQuiet: Bool, isTerminal: Bool = isatty(STDERR_FILENO) == 1,
        write: @escaping (String) -> Void = Console.writeToStandardError
    ) {
        isOn = !isQuiet && isTerminal
        self.write = write
        start = clock.now
    }

    /// Shows it, at most five times a second.
    func show(_ progress: RunMonitor.Progress) {
        guard isOn else { return }
        let now = clock.now
        if let last, now - last < .milliseconds(200) { return }
        let rate = rate.update(done: progress.done, at: now - start)
        last = now
        isShown = true
        let percent = Int(progress.fraction * 100)
        let wrong = progress.blocksBad > 0 ? ", \(progress.blocksBad) wrong" : ""
        write(
            "\r\u{1b}[K\(progress.phase?.rawValue ?? "write and verify") \(percent)%  "
                + "\(ByteSize.display(progress.done)), \(ByteSize.display(rate))/s\(wrong), "
                + left(progress.fraction, now - start))
    }

    private func left(_ fraction: Double, _ elapsed: Duration) -> String {
        guard fraction > 0.01 else { return "\(elapsed.components.seconds) s" }
        let seconds = Double(elapsed.components.seconds) * (1 - fraction) / fraction
        return "\(Int(seconds.rounded(.up))) s left"
    }

    /// Takes it away, so that something else can be written.
    func clear() {
        guard isShown else { return }
        isShown = false
        write("\r\u{1b}[K")
    }
}

/// Bytes per second of the last two seconds or so.
struct RecentRate {
    private var samples: [(done: UInt64, time: Duration)] = [(0, .zero)]

    mutating func update(done: UInt64, at time: Duration) -> UInt64 {
        samples.append((done, time))
        while samples.count > 2, time - samples[1].time > .seconds(2) { samples.removeFirst() }
        let (seconds, attoseconds) = (time - samples[0].time).components
        let passed = Double(seconds) + Double(attoseconds) / 1e18
        guard passed > 0, done >= samples[0].done else { return 0 }
        return UInt64(Double(done - samples[0].done) / passed)
    }
}
