// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What the kernel's bookkeeping for a namespace costs in system RAM.
enum StructPages {
    /// Bytes for each 2 MiB.
    ///
    /// 64 for each page of 4 KiB; in mode devdax pages of 2 MiB, most of whose structs are alike
    /// and share two pages (mm/sparse-vmemmap.c, `vmemmap_populate_compound_pages()`).
    private static func pricePerUnit(_ mode: Namespace.Mode) -> UInt64 {
        mode == .devdax ? 2 * 4096 : DriverNumber.align / 4096 * 64
    }

    /// What so many bytes cost.
    static func price(of length: UInt64, _ mode: Namespace.Mode) -> UInt64 {
        length / DriverNumber.align * pricePerUnit(mode)
    }

    /// The largest size whose price is not above `memory`.
    static func affordable(with memory: UInt64, _ mode: Namespace.Mode) -> UInt64 {
        memory / pricePerUnit(mode) * DriverNumber.align
    }

    /// MemAvailable, in bytes; nil where the kernel does not say.
    static func availableMemory(root: SystemRoot) -> UInt64? { memory("MemAvailable:", root) }

    /// MemTotal, in bytes; nil where the kernel does not say.
    static func totalMemory(root: SystemRoot) -> UInt64? { memory("MemTotal:", root) }

    private static func memory(_ key: String, _ root: SystemRoot) -> UInt64? {
        let lines = (root.optionalText("/proc/meminfo") ?? "").split(separator: "\n")
        let line = lines.first { $0.hasPrefix(key) }
        return line.flatMap { $0.split(separator: " ").dropFirst().first }
            .flatMap { UInt64($0) }.map { $0 * 1024 }
    }
}
