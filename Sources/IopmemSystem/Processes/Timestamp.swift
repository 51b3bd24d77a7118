// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// A time of day, in UTC.
public struct Timestamp: Sendable, Equatable {
    /// Since 1970.
    public var seconds: Int64
    /// Below a second.
    public var nanoseconds: UInt32

    /// That time.
    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Now, by the machine's clock.
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}

extension Timestamp: CustomStringConvertible {
    /// As RFC 3339 writes it, in milliseconds: `2026-11-21T14:13:33.123Z`.
    public var description: String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func digits(_ number: some BinaryInteger, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let date = [
            digits(Int(parts.tm_year) + 1900, 4), digits(parts.tm_mon + 1, 2),
            digits(parts.tm_mday, 2),
        ]
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { digits($0, 2) }
        return date.joined(separator: "-") + "T" + clock.joined(separator: ":") + "."
            + digits(nanoseconds / 1_000_000, 3) + "Z"
    }
}
