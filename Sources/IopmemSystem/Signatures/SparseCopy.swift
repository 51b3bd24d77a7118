// SPDX-License-Identifier: GPL-2.0
import CIopmem
import Glibc
public import SystemPackage

/// Both ends of a range of a region, in a file in memory that is as long as the
/// range, so that libblkid sees it as the disk it would become.
///
/// The signatures that libblkid knows lie in the first or the last 2 MiB; the
/// middle reads as zeros and costs neither memory nor slow reads over PCIe.
enum SparseCopy {
    static let window: UInt64 = 2 * 1024 * 1024

    static func make(
        of region: borrowing RegionNode, range: Range<UInt64>
    ) throws(Errno) -> OwnedDescriptor {
        let number = iopmem_anonymous_file("iopmem-probe")
        guard number >= 0 else { throw Errno(rawValue: -number) }
        let file = OwnedDescriptor(adopting: FileDescriptor(rawValue: number))
        let length = UInt64(range.count)
        try retrying { ftruncate(number, off_t(length)) }
        let head = min(length, window)
        try copy(region, from: range.lowerBound, count: head, to: 0, of: number)
        let tail = min(length - head, window)
        try copy(
            region, from: range.upperBound - tail, count: tail, to: length - tail, of: number)
        return file
    }

    private static func copy(
        _ region: borrowing RegionNode, from source: UInt64, count: UInt64, to target: UInt64,
        of file: CInt
    ) throws(Errno) {
        let bytes = try region.read(count: Int(count), at: source)
        var done = 0
        while done < bytes.count {
            done += try retrying {
                bytes.withUnsafeBytes { buffer in
                    pwrite(
                        file, buffer.baseAddress.map { $0 + done }, bytes.count - done,
                        off_t(target) + off_t(done))
                }
            }
        }
    }
}

extension RegionNode {
    /// The signatures in `range`, as if it were a disk.
    public borrowing func signatures(in range: Range<UInt64>) throws(Errno) -> [Signature] {
        let copy = try SparseCopy.make(of: self, range: range)
        return try Signature.all(on: copy.raw)
    }
}
