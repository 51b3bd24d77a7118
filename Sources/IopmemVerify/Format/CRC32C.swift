// SPDX-License-Identifier: GPL-2.0
private import CChecksum

/// fio's crc32c: CRC-32C that starts at all ones and is not inverted at the end.
enum CRC32C {
    private static let start: UInt32 = 0xffff_ffff

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        iopmem_crc32c(start, bytes.baseAddress, bytes.count)
    }

    /// The same without the processor's help; what other machines run.
    static func portableChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        iopmem_crc32c_portable(start, bytes.baseAddress, bytes.count)
    }
}
