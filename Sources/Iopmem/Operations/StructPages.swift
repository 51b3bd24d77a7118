// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What the kernel's bookkeeping for a namespace costs in system RAM.
enum StructPages {
    /// 64 bytes for each page of 4 KiB.
    static func price(of length: UInt64) -> UInt64 { length / 4096 * 64 }

    /// The largest size whose price is not above `memory`.
    static func affordable(with memory: UInt64) -> UInt64 {
        memory / 64 * 4096 / DriverNumber.align * DriverNumber.align
    }

    /// MemAvailable, in bytes; nil where the kernel does not say.
    static func availableMemory(root: SystemRoot) -> UInt64? {
        let lines = (root.optionalText("/proc/meminfo") ?? "").split(separator: "\n")
        let line = lines.first { $0.hasPrefix("MemAvailable:") }
        return line.flatMap { $0.split(separator: " ").dropFirst().first }
            .flatMap { UInt64($0) }.map { $0 * 1024 }
    }
}
