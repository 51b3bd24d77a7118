// SPDX-License-Identifier: GPL-2.0

/// A kernel name of ours, `iopmem0` or `iopmem0n1`, taken apart.
struct KernelName: Hashable, Sendable {
    let text: String
    /// The number of the region.
    let regionNumber: UInt32
    /// The number of the namespace within it; nil for a region.
    let namespace: UInt32?

    /// The name of the region.
    var region: String { "iopmem\(regionNumber)" }

    /// Nil unless `text` is such a name; `iopmem-control` and partitions are not.
    init?(_ text: String) {
        guard text.hasPrefix("iopmem") else { return nil }
        let numbers = text.dropFirst("iopmem".count)
            .split(separator: "n", omittingEmptySubsequences: false)
        guard numbers.count <= 2, let first = numbers.first.flatMap(Self.number) else {
            return nil
        }
        if numbers.count == 2 {
            guard let second = Self.number(numbers[1]) else { return nil }
            namespace = second
        } else {
            namespace = nil
        }
        regionNumber = first
        self.text = text
    }

    /// Whether `left` comes before `right`: by number, so that iopmem10 comes
    /// after iopmem9.
    static func ordered(_ left: String, _ right: String) -> Bool {
        guard let left = KernelName(left), let right = KernelName(right) else {
            return left < right
        }
        return (left.regionNumber, left.namespace ?? 0)
            < (right.regionNumber, right.namespace ?? 0)
    }

    private static func number(_ text: Substring) -> UInt32? {
        text.allSatisfy { $0.isASCII && $0.isNumber } ? UInt32(text) : nil
    }
}
