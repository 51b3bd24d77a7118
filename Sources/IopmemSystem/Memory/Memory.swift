// SPDX-License-Identifier: GPL-2.0
private import Glibc

/// Comparisons of memory that libc does with the processor's widest words.
public enum Memory {
    /// Whether both hold the same bytes.
    public static func areEqual(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Bool {
        guard left.count == right.count else { return false }
        guard let first = left.baseAddress, let second = right.baseAddress else { return true }
        return memcmp(first, second, left.count) == 0
    }
}
