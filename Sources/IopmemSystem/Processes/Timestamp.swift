// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// The time of day.
public enum WallClock {
    /// Since 1970 in UTC.
    public static func now() -> (seconds: Int64, nanoseconds: UInt32) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return (Int64(time.tv_sec), UInt32(time.tv_nsec))
    }
}
