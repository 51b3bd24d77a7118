// SPDX-License-Identifier: GPL-2.0
public import SystemPackage

/// Which page frames stand behind this process's memory: /proc/self/pagemap.
///
/// The kernel shows frame numbers only with CAP_SYS_ADMIN and zeros otherwise
/// (Documentation/admin-guide/mm/pagemap.rst).
public struct PageMap {
    private static let entrySize = 8
    private static let present: UInt64 = 1 << 63
    private static let frameMask: UInt64 = (1 << 55) - 1
    private static let batch = 4096

    private let file: OpenFile

    /// Opens the process's own page map.
    public init() throws(Errno) {
        file = try OpenFile("/proc/self/pagemap")
    }

    /// Calls `body` for each page of `memory`, in order.
    ///
    /// - Parameters:
    ///   - memory: begins on a page boundary.
    ///   - body: gets the page's index and its physical address in bytes; nil
    ///     where no page is present. EPERM is thrown if the kernel hides frames.
    public func forEachPage(
        of memory: UnsafeRawBufferPointer, _ body: (Int, UInt64?) -> Void
    ) throws(Errno) {
        let pageSize = FileMapping.pageSize
        let pages = (memory.count + pageSize - 1) / pageSize
        let first = UInt64(UInt(bitPattern: memory.baseAddress)) / UInt64(pageSize)
        let entries = AlignedBuffer(size: Self.batch * Self.entrySize)
        var done = 0
        while done < pages {
            let count = min(Self.batch, pages - done)
            let window = UnsafeMutableRawBufferPointer(
                rebasing: entries.bytes[..<(count * Self.entrySize)])
            let offset = (first + UInt64(done)) * UInt64(Self.entrySize)
            guard try file.read(into: window, at: offset) == window.count else {
                throw .ioError
            }
            for index in 0..<count {
                let entry = window.load(fromByteOffset: index * Self.entrySize, as: UInt64.self)
                guard entry & Self.present != 0 else {
                    body(done + index, nil)
                    continue
                }
                let frame = entry & Self.frameMask
                guard frame != 0 else { throw .notPermitted }
                body(done + index, frame * UInt64(pageSize))
            }
            done += count
        }
    }
}
