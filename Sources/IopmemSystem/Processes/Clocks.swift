// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// The clock that goes on whatever is set: CLOCK_MONOTONIC, read without a system call.
public enum Monotonic {
    /// Nanoseconds since some moment.
    @inline(__always)
    public static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// A length of time in nanoseconds, 584 years at most.
    public static func nanoseconds(of duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        guard seconds >= 0 else { return 0 }
        let whole = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !whole.overflow else { return .max }
        return whole.partialValue.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000)).0
    }
}

/// What the processors have worked, in microseconds: getrusage(2).
public struct ProcessorTime: Sendable, Equatable {
    /// In the program.
    public var user: UInt64 = 0
    /// In the kernel for it.
    public var system: UInt64 = 0

    /// Nothing.
    public init() {}

    private init(_ usage: rusage) {
        user = UInt64(usage.ru_utime.tv_sec) * 1_000_000 + UInt64(usage.ru_utime.tv_usec)
        system = UInt64(usage.ru_stime.tv_sec) * 1_000_000 + UInt64(usage.ru_stime.tv_usec)
    }

    /// Of the thread that asks.
    public static func ofThread() -> Self {
        var usage = rusage()
        // RUSAGE_THREAD, which is GNU's own and so not imported (getrusage(2)).
        getrusage(1, &usage)
        return Self(usage)
    }

    /// Of all threads of the process, those of the kernel that work for its io_uring among them.
    public static func ofProcess() -> Self {
        var usage = rusage()
        // RUSAGE_SELF, which is imported as another type than the call takes.
        getrusage(0, &usage)
        return Self(usage)
    }

    /// Both in microseconds.
    public var total: UInt64 { user + system }

    /// What came between two moments.
    public static func - (later: Self, earlier: Self) -> Self {
        var result = Self()
        result.user = later.user - min(earlier.user, later.user)
        result.system = later.system - min(earlier.system, later.system)
        return result
    }

    /// That of two together.
    public static func + (first: Self, second: Self) -> Self {
        var result = Self()
        result.user = first.user + second.user
        result.system = first.system + second.system
        return result
    }
}
