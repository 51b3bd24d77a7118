// SPDX-License-Identifier: GPL-2.0
import Glibc
import Iopmem

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
    ///
    /// - Parameters:
    ///   - work: What is being done.
    ///   - done: Bytes that were moved so far.
    ///   - fraction: How much of the whole that is, from 0 to 1.
    ///   - wrong: Blocks that were wrong.
    func show(_ work: String, done: UInt64, fraction: Double, wrong: UInt64 = 0) {
        guard isOn else { return }
        let now = clock.now
        if let last, now - last < .milliseconds(200) { return }
        let rate = rate.update(done: done, at: now - start)
        last = now
        isShown = true
        write(
            "\r\u{1b}[K\(work) \(Int(fraction * 100))%  "
                + "\(ByteSize.display(done)), \(ByteSize.display(rate))/s"
                + (wrong > 0 ? ", \(wrong) wrong, " : ", ") + left(fraction, now - start))
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
