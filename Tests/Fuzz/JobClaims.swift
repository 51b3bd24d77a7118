// SPDX-License-Identifier: GPL-2.0
import Iopmem

@testable import IopmemVerify

/// Every mistake in a job file has a line, and a workload that is taken for good stays in its range.
enum JobClaims {
    static func examine(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        for line in text.split(separator: "\n") {
            // What is taken for a record of a state says again what it said.
            if let record = VerifyState.Record(line) {
                claim(VerifyState.Record(record.line[...]) == record, "\(line) is read otherwise")
            }
        }
        let jobs: [JobSpec]
        do throws(IopmemError) {
            jobs = try JobFile.jobs(in: text, file: "f") { $0 == "SIZE" ? "1m" : nil }
        } catch {
            claim(
                error.message.split(separator: "\n").contains { $0.hasPrefix("f:") },
                "a mistake without a place: \(error.message)")
            return
        }
        claim(!jobs.isEmpty, "neither a job nor a mistake")
        for job in jobs { examine(job.workload) }
    }

    private static func examine(_ asked: Workload) {
        var workload = asked
        workload.size = min(workload.size, 1 << 40)
        guard (try? workload.validate()) != nil else { return }
        let range = workload.offset...(workload.offset + workload.size)
        var sequence = BlockSequence(workload)
        var again = BlockSequence(workload)
        for _ in 0..<32 {
            guard let header = sequence.next() else { break }
            let end = header.offset + UInt64(header.length)
            claim(
                range.contains(header.offset) && range.contains(end) && header.length > 0,
                "\(header) lies outside \(range)")
            claim(
                Int(header.length) <= workload.blockSize
                    && Int(header.length).isMultiple(of: workload.headerUnit),
                "\(header) has \(header.length) bytes")
            claim(again.next() == header, "a sequence that is not the same twice")
        }
    }
}
