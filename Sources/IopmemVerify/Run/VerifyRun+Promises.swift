// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// What an interrupted run had promised.
extension VerifyRun {
    /// Checks what an interrupted run had promised and says what became of it.
    func checkPromises(
        _ record: VerifyState.Record
    ) throws(IopmemError) -> (WorkloadResult, PromiseOutcome) {
        var outcome = PromiseOutcome()
        let result = try run { outcome = try check(record) }
        return (result, outcome)
    }

    func check(_ record: VerifyState.Record) throws -> PromiseOutcome {
        var outcome = PromiseOutcome()
        outcome.loop = record.loop
        var before: BlockSequence?
        var sequence = BlockSequence(workload, stamp: stamp)
        for _ in 0..<record.loop {
            before = sequence
            while sequence.next() != nil {}
            sequence = sequence.following()
        }
        let bad = result.blocksBad
        try verify(from: sequence, count: record.promised)
        outcome.promised = record.promised

        for _ in 0..<record.promised { _ = sequence.next() }
        var window: [FioHeader] = []
        for _ in record.promised..<max(record.announced, record.promised) {
            if let header = sequence.next() { window.append(header) }
        }
        let order = BlockSequence.order(of: workload, loop: record.loop)
        let length = UInt64(workload.blockSize)
        func position(_ header: FioHeader) -> UInt64 {
            order.position(of: (header.offset - workload.offset) / length)
        }
        var older: [UInt64: FioHeader] = [:]
        if var before {
            // What this loop had not come to holds what the one before left there.
            try measuring(.verify) {
                outcome.promised += try pass(
                    .verify,
                    next: {
                        while let header = before.next() {
                            let place = position(header)
                            if place >= record.announced { return header }
                            if place >= record.promised { older[header.offset] = header }
                        }
                        return nil
                    }
                ) { try check($0, $1, knowing: true) }
            }
        } else {
            outcome.unpromised =
                (workload.blockCount ?? 0) - min(record.announced, workload.blockCount ?? 0)
        }
        outcome.broken = result.blocksBad - bad
        outcome.kept = outcome.promised - min(outcome.broken, outcome.promised)
        var headers = window.makeIterator()
        try measuring(.verify) {
            outcome.window = try pass(.verify, next: { headers.next() }) { slot, header in
                judge(slot, header, older: older[header.offset], &outcome)
            }
        }
        return outcome
    }

    /// A block that was being written is the new one, or what was there before.
    private func judge(
        _ slot: Int, _ header: FioHeader, older: FioHeader?, _ outcome: inout PromiseOutcome
    ) {
        let unit = workload.headerUnit
        let count = Int(header.length) / unit
        var isNew = 0
        var isOld = 0
        for index in 0..<count {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: queue.buffers[slot][(index * unit)...][..<((index + 1) * unit)])
            let bytes = UnsafeRawBufferPointer(part)
            let right = header.block(index, length: unit)
            workload.format.swapHeader(
                in: part, size: workload.format.headerSize(onDevice: bytes, right.method))
            if BlockCheck.isRight(bytes, .header(right)) {
                isNew += 1
            } else if let older {
                if BlockCheck.isRight(bytes, .header(older.block(index, length: unit))) {
                    isOld += 1
                }
            } else if !BlockCheck.hasPart(of: right, in: bytes) {
                isOld += 1
            }
        }
        if isNew == count {
            outcome.windowNew += 1
            result.verified(at: header.offset, bytes: UInt64(header.length))
        } else if isOld == count {
            outcome.windowOld += 1
            if older != nil { result.verified(at: header.offset, bytes: UInt64(header.length)) }
        } else {
            outcome.windowTorn += 1
            result.bad(at: header.offset, bytes: UInt64(header.length))
            guard result.mismatches.count < Self.maximumMismatches else { return }
            result.mismatches.append(
                Mismatch(
                    offset: header.offset, length: UInt64(header.length), kind: .torn,
                    expected: "all of the block that was being written, or all of the one before",
                    got: "some of each"))
        }
    }
}
