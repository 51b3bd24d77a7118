// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// The CPU addresses for which the kernel can make struct pages.
struct DirectMap: Equatable {
    /// The first address beyond them; nil where the processor does not tell.
    let end: UInt64?
    /// The first address that the processor cannot have; nil where it does not tell.
    let processorEnd: UInt64?

    /// What to do where the kernel made it smaller than it could be.
    static let widening = "boot with nokaslr, or update the kernel"

    /// Four levels of page tables leave room for 64 TiB, five for 4 PiB (MAX_PHYSMEM_BITS in
    /// arch/x86/include/asm/sparsemem.h), of which the processor may reach less. The flag la57 is
    /// there only while the kernel uses the fifth (arch/x86/kernel/cpu/common.c).
    init(root: SystemRoot) {
        let processor = Processor(root: root)
        guard let flags = processor["flags"], let sizes = processor["address sizes"],
            let bits = sizes.split(separator: " ").first.flatMap({ UInt64($0) }), bits > 0
        else {
            (end, processorEnd) = (nil, nil)
            return
        }
        end = 1 << min(bits, flags.split(separator: " ").contains("la57") ? 52 : 46)
        processorEnd = 1 << min(bits, 63)
    }

    /// Whether all bytes of a BAR lie in it.
    func covers(_ bar: PCIBar) -> Bool {
        end.map { bar.start < $0 && bar.size <= $0 - bar.start } ?? true
    }
}

/// What /proc/cpuinfo says of the first processor.
struct Processor {
    private let lines: [Substring]

    init(root: SystemRoot) {
        // One takes some 2 KiB, and a machine may have hundreds.
        let bytes = (try? root.bytes("/proc/cpuinfo", upTo: 16384)) ?? []
        lines = String(decoding: bytes, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
            .prefix { !$0.isEmpty }
    }

    /// The value of a line like `cpu family\t: 6`; nil where there is no such line.
    subscript(key: String) -> Substring? {
        lines.lazy.map { $0.split(separator: ":", maxSplits: 1) }.first { parts in
            parts.count == 2 && parts[0].prefix { $0 != "\t" } == key
        }.map { $0[1].drop(while: \.isWhitespace) }
    }
}
