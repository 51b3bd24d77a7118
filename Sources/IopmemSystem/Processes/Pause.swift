// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// Waiting between two looks at something that sends no event.
public enum Pause {
    /// 20 ms; a signal ends it early.
    public static func briefly() {
        _ = poll(nil, 0, 20)
    }

    /// So long, at most a minute; a signal ends it early.
    public static func sleep(_ duration: Duration) {
        let (seconds, attoseconds) = min(duration, .seconds(60)).components
        var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        nanosleep(&time, nil)
    }
}
