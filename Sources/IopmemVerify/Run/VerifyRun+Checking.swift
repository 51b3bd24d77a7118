// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// What blocks hold when they are written, and what is said of those that are read.
extension VerifyRun {
    /// Makes an I/O: a header in each interval.
    func fill(_ slot: Int, _ header: FioHeader) {
        let unit = workload.headerUnit
        let block = queue.buffers[slot]
        for index in 0..<(Int(header.length) / unit) {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: block[(index * unit)...][..<((index + 1) * unit)])
            header.block(index, length: unit).writeBlock(part)
            workload.format.swapHeader(
                in: part, size: workload.format.headerSize(header.method))
        }
    }

    /// Looks at an I/O, header by header.
    func check(_ slot: Int, _ header: FioHeader, knowing: Bool) throws {
        let unit = workload.headerUnit
        let block = queue.buffers[slot]
        for index in 0..<(Int(header.length) / unit) {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: block[(index * unit)...][..<((index + 1) * unit)])
            let right = header.block(index, length: unit)
            // Without headers there is nothing to be known but what the pattern says.
            let isKnown = knowing || !right.method.hasHeader
            try check(
                part,
                isKnown
                    ? .header(right)
                    : .place(
                        offset: right.offset, length: right.length, pattern: right.pattern,
                        position: right.position),
                right.method)
        }
    }

    func check(
        _ part: UnsafeMutableRawBufferPointer, _ expected: BlockCheck.Expectation,
        _ method: VerifyMethod
    ) throws {
        let bytes = UnsafeRawBufferPointer(part)
        let headerSize =
            expected.header == nil
            ? workload.format.headerSize(onDevice: bytes, method)
            : workload.format.headerSize(method)
        workload.format.swapHeader(in: part, size: headerSize)
        if method.hasHeader, let chosen = workload.format.method, expected.header == nil {
            try refuseOtherMethod(bytes, chosen)
        }
        guard !BlockCheck.isRight(bytes, expected) else {
            result.verified(at: expected.offset, bytes: UInt64(bytes.count))
            return
        }
        if result.blocksVerified + result.blocksBad == 0, method.hasHeader {
            try refuseOtherFormat(bytes)
        }
        result.bad(at: expected.offset, bytes: UInt64(bytes.count))
        let room = Self.maximumMismatches - result.mismatches.count
        if room > 0 {
            result.mismatches += BlockCheck.diagnose(bytes, expected).prefix(room).map { mismatch in
                var mismatch = mismatch
                let start = Int(mismatch.offset - expected.offset)
                mismatch.offset =
                    expected.offset
                    + UInt64(workload.format.placeOnDevice(of: start, headerSize: headerSize))
                return mismatch
            }
        }
        if workload.stopsAtFirst { throw Interruption.wrongBlock(at: expected.offset) }
    }

    /// Somebody who asks for one digest is not told that another one fits.
    private func refuseOtherMethod(
        _ bytes: UnsafeRawBufferPointer, _ chosen: VerifyMethod
    ) throws(IopmemError) {
        guard result.blocksVerified + result.blocksBad == 0, let header = try? FioHeader(bytes),
            header.method != chosen
        else { return }
        throw IopmemError(
            .usage,
            "\(target): its blocks carry \(header.method.rawValue), not \(chosen.rawValue)",
            remedy: "use --verify \(header.method.rawValue), or leave it out")
    }

    /// A first block that is sound but was written with other options says that
    /// the options are wrong, not the data.
    private func refuseOtherFormat(_ bytes: UnsafeRawBufferPointer) throws(IopmemError) {
        switch Result(catching: { () throws(FioHeader.Damage) in try FioHeader(bytes) }) {
        case .success(let header) where header.length != UInt32(bytes.count):
            let size = ByteSize.exact(UInt64(header.length))
            throw IopmemError(
                .usage,
                "\(target): its blocks are \(header.length) bytes long, not \(bytes.count)",
                remedy: Int(header.length) < workload.blockSize
                    ? "use --verify-interval \(size), or --bs \(size)" : "use --bs \(size)")
        case .failure(.verifyType(let type)):
            let names = VerifyMethod.allCases.filter(\.hasHeader).map(\.rawValue)
                .joined(separator: ", ")
            throw IopmemError(
                .unsupported,
                "\(target): its blocks carry fio's verify type \(type); this tool reads \(names)",
                remedy: "verify them with fio, or write them with one of these")
        default:
            return
        }
    }
}
