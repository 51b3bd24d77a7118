// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// How blocks are made and checked: fio's options that begin with `verify`.
public struct BlockFormat: Sendable, Equatable {
    /// fio's `verify`; nil, for reading alone, to take what each header says.
    public var method: VerifyMethod?
    /// Whose blocks are written; those that are read say whose they are.
    public var release: FioRelease
    /// fio's `verify_interval`, in bytes: each I/O has a header in each; nil for one header an I/O.
    public var interval: Int?
    /// fio's `verify_offset`: where in its block the header is, in bytes.
    public var headerOffset: Int
    /// fio's `verify_pattern`; nil for data made from seeds.
    public var pattern: FillPattern?

    /// That format.
    public init(
        method: VerifyMethod? = nil, release: FioRelease = .v3_3, interval: Int? = nil,
        headerOffset: Int = 0, pattern: FillPattern? = nil
    ) {
        self.method = method
        self.release = release
        self.interval = interval
        self.headerOffset = headerOffset
        self.pattern = pattern
    }

    private var layout: FioHeader.Layout { release.layout }

    /// fio's own default where something is written.
    static let defaultMethod = VerifyMethod.crc32c

    /// Bytes that one header covers in an I/O of that many.
    func unit(of blockSize: Int) -> Int { min(interval ?? blockSize, blockSize) }

    /// Refuses what contradicts itself or the size of an I/O.
    func validate(blockSize: Int) throws(IopmemError) {
        if method == .pattern && pattern == nil {
            throw IopmemError(
                .usage, "--verify pattern needs to know which",
                remedy: "add --verify-pattern, such as --verify-pattern 0xdeadbeef")
        }
        let unit = unit(of: blockSize)
        if let interval {
            guard interval >= 512, interval.isMultiple(of: 512) else {
                throw IopmemError(
                    .usage, "--verify-interval \(interval) is not a multiple of 512")
            }
            guard interval <= blockSize, blockSize.isMultiple(of: interval) else {
                throw IopmemError(
                    .usage,
                    "--verify-interval \(interval) does not divide --bs \(blockSize): part of a"
                        + " block would have no header",
                    remedy: "use a --bs that is a multiple of it")
            }
        }
        guard headerOffset > 0 else {
            guard headerOffset == 0 else {
                throw IopmemError(.usage, "--verify-offset \(headerOffset) is less than 0")
            }
            return
        }
        let method = method ?? Self.defaultMethod
        guard method.hasHeader else {
            throw IopmemError(
                .usage, "--verify-offset moves headers, and --verify pattern has none")
        }
        let size = layout.size + method.digestSize
        guard headerOffset >= size, headerOffset <= unit - size else {
            throw IopmemError(
                .usage,
                "--verify-offset \(headerOffset) does not leave a header of \(size) bytes in a"
                    + " block of \(unit)",
                remedy: "use one between \(size) and \(unit - size)")
        }
    }

    /// Bytes of a header with its digest as this format writes it.
    func headerSize(_ method: VerifyMethod) -> Int { layout.size + method.digestSize }

    /// The same of what stands on the device, which says its layout and method itself.
    ///
    /// - Parameter method: what it is taken for where it says nothing.
    func headerSize(onDevice block: UnsafeRawBufferPointer, _ method: VerifyMethod) -> Int {
        guard headerOffset > 0, headerOffset <= block.count - FioHeader.Layout.l1.size,
            let header = FioHeader.kind(
                of: UnsafeRawBufferPointer(rebasing: block[headerOffset...])),
            headerOffset >= header.size, headerOffset <= block.count - header.size
        else { return headerSize(method) }
        return header.size
    }

    /// Exchanges a block's header of so many bytes with those at `verify_offset`; twice, all is as it
    /// was.
    func swapHeader(in block: UnsafeMutableRawBufferPointer, size: Int) {
        guard headerOffset > 0 else { return }
        for index in 0..<size { block.swapAt(index, headerOffset + index) }
    }

    /// Where a byte of a block is on the device, as a place in the same block.
    func placeOnDevice(of index: Int, headerSize size: Int) -> Int {
        guard headerOffset > 0 else { return index }
        if index < size { return index + headerOffset }
        if (headerOffset..<(headerOffset + size)).contains(index) { return index - headerOffset }
        return index
    }
}
