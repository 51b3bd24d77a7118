// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// Looks at one block and says which of its bytes are wrong.
struct BlockCheck {
    /// What is known about the block that should be there.
    enum Expectation {
        /// It was written by this run: everything.
        case header(FioHeader)
        /// Somebody wrote it: its place and length, and, where it is known, what fills it and where
        /// in its I/O it is.
        case place(
            offset: UInt64, length: UInt32, pattern: FillPattern? = nil, position: UInt64 = 0)

        var offset: UInt64 {
            switch self {
            case .header(let header): header.offset
            case .place(let offset, _, _, _): offset
            }
        }

        var length: UInt32 {
            switch self {
            case .header(let header): header.length
            case .place(_, let length, _, _): length
            }
        }

        var header: FioHeader? {
            guard case .header(let header) = self else { return nil }
            return header
        }
    }

    /// At most so many runs of wrong bytes are told apart in one block.
    private static let maximumRuns = 8
    /// Fewer equal bytes than these between two wrong ones are chance.
    private static let gap = 8
    private static let unit = 64

    /// Whether the block is right. This is the path for every block of a run.
    static func isRight(_ block: UnsafeRawBufferPointer, _ expected: Expectation) -> Bool {
        if let known = expected.header, !known.method.hasHeader { return known.fills(block) }
        guard let header = try? FioHeader(block), header.length == expected.length,
            header.offset == expected.offset, Int(header.length) == block.count
        else { return false }
        if let known = expected.header {
            guard known.seed == header.seed, known.method == header.method else { return false }
            // A header that reached the memory before its payload: what is behind it is a whole
            // older block's, digest included.
            guard
                known.pattern != nil
                    || Payload.begins(block, from: header.dataOffset, seed: known.payloadSeed)
            else { return false }
        }
        return header.matchesPayload(of: block)
            || header.method == .sha512 && isRightWithoutDigest(block, header, expected)
    }

    /// fio before 3.39 left no digest with `sha512`; but what should be there is known all the same.
    private static func isRightWithoutDigest(
        _ block: UnsafeRawBufferPointer, _ header: FioHeader, _ expected: Expectation
    ) -> Bool {
        guard header.matchesPayload(of: block, as: .v3_3) else { return false }
        let check = BlockCheck(block: block, expected: expected)
        let right = check.completed(header)
        return check.withBlock(right) { reference in
            Memory.areEqual(
                UnsafeRawBufferPointer(rebasing: block[right.dataOffset...]),
                UnsafeRawBufferPointer(rebasing: reference[right.dataOffset...]))
        }
    }

    /// Whether some whole unit of 64 bytes is what a block with this header has there: nobody else's
    /// data are, but where a pattern fills both.
    static func hasPart(of header: FioHeader, in block: UnsafeRawBufferPointer) -> Bool {
        guard header.pattern == nil else { return false }
        let check = BlockCheck(block: block, expected: .header(header))
        return check.withBlock(header) { right in
            stride(from: 0, to: block.count, by: unit).contains { start in
                let part = start..<min(start + unit, block.count)
                return Memory.areEqual(
                    UnsafeRawBufferPointer(rebasing: right[part]),
                    UnsafeRawBufferPointer(rebasing: block[part]))
            }
        }
    }

    /// What is wrong with a block that is not right.
    static func diagnose(
        _ block: UnsafeRawBufferPointer, _ expected: Expectation
    ) -> [Mismatch] {
        BlockCheck(block: block, expected: expected).diagnosis()
    }

    private let block: UnsafeRawBufferPointer
    private let expected: Expectation

    private func diagnosis() -> [Mismatch] {
        if block.allSatisfy({ $0 == 0 }) { return [whole(.zeros, got: "zeros")] }
        if block.allSatisfy({ $0 == 0xff }) { return [whole(.ones, got: "ones")] }
        let found = try? FioHeader(block)
        if let verdict = found.flatMap(soundElsewhere) ?? patternElsewhere() { return [verdict] }

        guard let right = reconstruct(found) else {
            return [whole(.garbage, got: hex(0..<block.count))]
        }
        return withBlock(right) { compare($0, right) }
    }

    /// The block that a header says.
    private func withBlock<Result>(
        _ header: FioHeader, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        let reference = UnsafeMutableRawBufferPointer.allocate(
            byteCount: block.count, alignment: 64)
        defer { reference.deallocate() }
        header.writeBlock(reference)
        return body(UnsafeRawBufferPointer(reference))
    }

    /// A header that was read, with what is not on the device.
    private func completed(_ header: FioHeader) -> FioHeader {
        if let known = expected.header { return known }
        var header = header
        if case .place(_, _, let pattern?, let position) = expected {
            header.pattern = pattern
            header.position = position
        } else {
            header.position = position(of: header)
        }
        header.release = header.layout == .l1 ? .v3_41 : .v3_3
        // Two releases have one layout, and write different things for sha512.
        let data = header.dataOffset
        if header.method == .sha512, header.layout == .l0,
            !withBlock(header, { Memory.areEqual(digest($0, data), digest(block, data)) })
        {
            header.release = .v3_39
        }
        return header
    }

    private func digest(_ block: UnsafeRawBufferPointer, _ data: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: block[(data - VerifyMethod.maximumDigestSize)..<data])
    }

    /// A block that is sound in itself and is not the one that should be here.
    private func soundElsewhere(_ found: FioHeader) -> Mismatch? {
        guard Int(found.length) == block.count, found.matchesPayload(of: block),
            expected.header?.method.hasHeader ?? true
        else { return nil }
        if found.offset != expected.offset {
            return whole(.misdirected, got: "the block of offset \(found.offset)")
        }
        guard let known = expected.header, known.seed != found.seed else { return nil }
        return Mismatch(
            offset: expected.offset, length: UInt64(block.count), kind: .stale,
            expected: "the block with seed \(hexadecimal(known.seed))",
            got: "an older block with seed \(hexadecimal(found.seed))")
    }

    /// A block without a header that tells another offset.
    private func patternElsewhere() -> Mismatch? {
        guard let known = expected.header, !known.method.hasHeader,
            let offset = known.pattern?.ioOffset(in: block)
        else { return nil }
        return whole(.misdirected, got: "the block of offset \(offset)")
    }

    /// The header that should be here, from whatever is known or left of it.
    private func reconstruct(_ found: FioHeader?) -> FioHeader? {
        if let known = expected.header { return known }
        let candidate = found ?? repaired()
        if var header = candidate, Int(header.length) == block.count {
            header.offset = expected.offset
            return completed(header)
        }
        let data = FioHeader.maximumDataOffset..<block.count
        guard let seed = candidate?.seed ?? Payload.recoverSeed(from: block, in: data) else {
            return nil
        }
        return FioHeader(
            layout: candidate?.layout ?? .l0, length: expected.length, seed: seed,
            offset: expected.offset)
    }

    /// Where the block began in the I/O that wrote it: its data tell, where they are of its seed.
    private func position(of header: FioHeader) -> UInt64 {
        guard
            let seed = Payload.recoverSeed(from: block, in: header.dataOffset..<block.count)
        else { return 0 }
        let step = UInt64(block.count)
        let largest = UInt64(Workload.blockSizes.upperBound)
        var candidate = header.seed
        for position in stride(from: 0, to: largest, by: Int(step)) {
            if candidate == seed { return position }
            candidate = Payload.advance(candidate, by: step)
        }
        return 0
    }

    /// The header with one bit changed, if that makes it sound.
    private func repaired() -> FioHeader? {
        var bytes = [UInt8](block.prefix(FioHeader.maximumDataOffset))
        for index in 0..<FioHeader.Layout.l1.size {
            for bit in 0..<8 {
                bytes[index] ^= 1 << bit
                defer { bytes[index] ^= 1 << bit }
                if let header = bytes.withUnsafeBytes({ try? FioHeader($0) }) { return header }
            }
        }
        return nil
    }

    private func compare(
        _ reference: UnsafeRawBufferPointer, _ right: FioHeader
    ) -> [Mismatch] {
        let seed = right.payloadSeed
        let runs = wrongRuns(reference, header: right.dataOffset)
        let flips = block.indices.lazy.filter { block[$0] != reference[$0] }.prefix(9)
        let isBitflip =
            flips.count <= 8
            && flips.allSatisfy { (block[$0] ^ reference[$0]).nonzeroBitCount == 1 }
        return runs.map { run in
            let kind: Mismatch.Kind
            var words: (expected: String, got: String)?
            let wrong = run.lazy.filter { block[$0] != reference[$0] }
            if isBitflip {
                kind = .bitflip
            } else if wrong.allSatisfy({ block[$0] == 0 }) {
                kind = .zeros
            } else if wrong.allSatisfy({ block[$0] == 0xff }) {
                kind = .ones
            } else if right.pattern == nil, let torn = otherWrite(in: run, right) {
                kind = .torn
                words = (
                    "bytes of the write with seed \(hexadecimal(seed))",
                    "torn at \(boundary(torn.range)): bytes \(torn.range.lowerBound)..<\(torn.range.upperBound) of the block are of the write with seed \(hexadecimal(torn.seed))"
                )
            } else {
                kind = .garbage
            }
            return Mismatch(
                offset: expected.offset + UInt64(run.lowerBound), length: UInt64(run.count),
                kind: kind, expected: words?.expected ?? hex(run, of: reference),
                got: words?.got ?? hex(run))
        }
    }

    /// The largest unit that both ends of a torn part are multiples of: a page, a sector, a cache line.
    private func boundary(_ range: Range<Int>) -> String {
        let units = [(4096, "4 KiB"), (512, "512 bytes"), (64, "64 bytes")]
        let unit = units.first { unit, _ in
            range.lowerBound.isMultiple(of: unit) && range.upperBound.isMultiple(of: unit)
        }
        return unit?.1 ?? "no boundary"
    }

    /// Runs of wrong bytes, the last one reaching to the end of all of them where
    /// there are too many.
    ///
    /// - Parameter header: where the data begin; headers of two writes to one place have much in
    ///   common.
    private func wrongRuns(
        _ reference: UnsafeRawBufferPointer, header: Int
    ) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for index in block.indices where block[index] != reference[index] {
            if let last = runs.last,
                index - last.upperBound < Self.gap || index < header
                    || runs.count == Self.maximumRuns
            {
                runs[runs.count - 1] = last.lowerBound..<(index + 1)
            } else {
                runs.append(index..<(index + 1))
            }
        }
        return runs
    }

    /// The other write whose payload fills the 64-byte units that a run touches.
    private func otherWrite(
        in run: Range<Int>, _ right: FioHeader
    ) -> (seed: UInt64, range: Range<Int>)? {
        let start = run.lowerBound / Self.unit * Self.unit
        let end = min((run.upperBound + Self.unit - 1) / Self.unit * Self.unit, block.count)
        // Headers differ in more than the seed; the payload decides.
        let data = max(right.dataOffset, FioHeader.Layout.l1.size + VerifyMethod.crc32c.digestSize)
        let range = max(start, data)..<max(end, data)
        // The first unit holds less than a group of payload, but a header.
        let found =
            Payload.recoverSeed(from: block, in: range)
            ?? (try? FioHeader(block)).map { Payload.advance($0.seed, by: right.position) }
        guard let other = found, other != right.payloadSeed else { return nil }
        let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: end, alignment: 64)
        defer { payload.deallocate() }
        Payload.fill(payload, seed: other)
        guard range.upperBound <= end, range.allSatisfy({ block[$0] == payload[$0] }) else {
            return nil
        }
        return (other, start..<end)
    }

    private func whole(_ kind: Mismatch.Kind, got: String) -> Mismatch {
        Mismatch(
            offset: expected.offset, length: UInt64(block.count), kind: kind,
            expected: "the block of offset \(expected.offset)", got: got)
    }

    private func hex(_ range: Range<Int>, of bytes: UnsafeRawBufferPointer? = nil) -> String {
        let shown = (bytes ?? block)[range].prefix(16)
        let digits = shown.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return range.count > shown.count ? digits + "…" : digits
    }

    private func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

extension FioHeader {
    /// Whether a block without a header is what it should be.
    fileprivate func fills(_ block: UnsafeRawBufferPointer) -> Bool {
        pattern?.fills(block, position: position, ioOffset: offset - position) ?? false
    }
}
