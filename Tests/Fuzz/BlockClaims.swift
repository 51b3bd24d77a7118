// SPDX-License-Identifier: GPL-2.0
@testable import IopmemVerify

/// No block that differs from what was written is called right, and what is said of it lies in it.
enum BlockClaims {
    private static let offset: UInt64 = 0x12_3000
    private static let pattern = try? FillPattern("0xdeadbeef%o\"x\"")

    static func examine(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let choice = input.byte()
        let layout: FioHeader.Layout = choice & 1 == 0 ? .l0 : .l1
        let size = 512 << Int(choice >> 1 & 3)
        let methods = VerifyMethod.allCases
        let method = methods[Int(input.byte()) % methods.count]
        var header = FioHeader(
            layout: layout, method: method, length: UInt32(size), seed: 0x1234_5678_9abc_def1,
            offset: offset)
        header.release = layout == .l1 ? .v3_41 : choice & 64 == 0 ? .v3_3 : .v3_39
        header.position = UInt64(choice >> 6) * UInt64(size)
        if choice & 32 != 0 || !method.hasHeader { header.pattern = pattern }
        var block = made(header)
        let right = block
        if choice & 8 != 0 {
            // Anything at all in its place.
            for index in block.indices { block[index] = input.byte() }
        } else if choice & 16 != 0 {
            // The end of another write.
            var older = header
            older.seed = UInt64(input.byte()) << 8 | 1
            let other = made(older)
            let start = input.number(below: size)
            block.replaceSubrange(start..., with: other[start...])
        }
        while !input.isAtEnd { block[input.number(below: size)] = input.byte() }

        block.withUnsafeBytes { bytes in
            examine(bytes, .header(header), right: right)
            guard method.hasHeader else { return }
            let place = BlockCheck.Expectation.place(
                offset: offset, length: UInt32(size), pattern: header.pattern,
                position: header.position)
            examine(bytes, place, right: right)
        }
    }

    private static func examine(
        _ block: UnsafeRawBufferPointer, _ expected: BlockCheck.Expectation, right: [UInt8]
    ) {
        let isRight = BlockCheck.isRight(block, expected)
        let wrong = block.indices.filter { block[$0] != right[$0] }
        if wrong.isEmpty { claim(isRight, "a block as it was written is called wrong") }
        if let known = expected.header {
            // Nothing but its header's checksum covers what says when and by whom; a pattern of
            // another write is the same.
            let payload = known.dataOffset...
            claim(
                !isRight || !wrong.contains(where: payload.contains),
                "called right with wrong bytes at \(wrong.prefix(8))")
        }
        guard !isRight else { return }
        let mismatches = BlockCheck.diagnose(block, expected)
        claim(!mismatches.isEmpty, "wrong, and nothing is said of it")
        for mismatch in mismatches {
            claim(
                mismatch.offset >= expected.offset && mismatch.length > 0
                    && mismatch.offset + mismatch.length
                        <= expected.offset + UInt64(expected.length),
                "\(mismatch) lies outside the block")
        }
        guard let known = expected.header else { return }
        let told = mismatches.map { mismatch in
            let start = Int(mismatch.offset - expected.offset)
            return start..<start + Int(mismatch.length)
        }
        for index in wrong where !told.contains(where: { $0.contains(index) }) {
            // Of a header that differs in provenance alone nothing is wrong.
            claim(
                index < known.dataOffset,
                "byte \(index) is wrong and not among \(told)")
        }
    }

    private static func made(_ header: FioHeader) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: Int(header.length))
        block.withUnsafeMutableBytes { header.writeBlock($0) }
        return block
    }
}
