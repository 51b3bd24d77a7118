// SPDX-License-Identifier: GPL-2.0
public import Iopmem

/// The result of `verify`: the value of the JSON key of that name, and what the
/// table is made from.
public struct VerifyReport: Sendable, Encodable {
    /// Pass or fail.
    public enum Verdict: String, Sendable, Encodable { case pass, fail }

    /// Fails on any wrong byte, any transfer that was not direct, anything that
    /// ended the run early, and if not one block was verified.
    public var result: Verdict { failures.isEmpty ? .pass : .fail }
    /// Why it failed, each reason a sentence; empty if it passed.
    public var failures: [IopmemError]
    /// What the user named.
    public var target: String
    /// Whether DAX is in effect for the file; nil where the question is idle.
    public var dax: Bool?
    /// What the workload found; nil if it did not come to that.
    public var workload: WorkloadResult?
    /// What was done, in fio's words.
    public var options: Workload
    /// Where the pages are; nil where nothing can be said.
    public var placement: Placement?
    /// Why nothing is said about pages, where nothing is.
    public var placementReason: String?
    /// Each peer in each direction.
    public var p2p: [PeerResult]

    /// The error with which the command ends; nil if it passed. Wrong data
    /// outranks everything else.
    public var error: IopmemError? {
        guard let first = failures.first else { return nil }
        let order: [IopmemError.Code] = [.verification, .interrupted]
        for code in order {
            if let found = failures.first(where: { $0.code == code }) { return found }
        }
        return first
    }

    private enum CodingKeys: String, CodingKey {
        case result, target, dax
        case bytesWritten = "bytes_written"
        case bytesVerified = "bytes_verified"
        case blocksVerified = "blocks_verified"
        case blocksBad = "blocks_bad"
        case mismatches, placement
        case placementReason = "placement_reason"
        case p2p, jobs, failures
    }

    /// The keys of the public contract, and `failures`, `blocks_bad`, `dax` and
    /// `placement_reason` beside them.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(result, forKey: .result)
        try container.encode(target, forKey: .target)
        try container.encodeIfPresent(dax, forKey: .dax)
        try container.encode(workload?.write.bytes ?? 0, forKey: .bytesWritten)
        try container.encode(workload?.bytesVerified ?? 0, forKey: .bytesVerified)
        try container.encode(workload?.blocksVerified ?? 0, forKey: .blocksVerified)
        try container.encode(workload?.blocksBad ?? 0, forKey: .blocksBad)
        try container.encode(workload?.mismatches ?? [], forKey: .mismatches)
        try container.encodeIfPresent(placement, forKey: .placement)
        try container.encodeIfPresent(placementReason, forKey: .placementReason)
        try container.encode(p2p, forKey: .p2p)
        try container.encode(workload.map { [Job($0, options)] } ?? [], forKey: .jobs)
        try container.encode(failures.map(\.message), forKey: .failures)
    }
}

/// One job with fio's `json+` keys, for what is measured.
private struct Job: Encodable {
    struct Direction: Encodable {
        let io_bytes: UInt64
        let io_kbytes: UInt64
        let bw_bytes: UInt64
        let bw: UInt64
        let iops: Double
        let runtime: UInt64
        let total_ios: UInt64

        init(_ measure: WorkloadResult.Measure) {
            // fio counts in whole milliseconds; what is shorter has no rate.
            let seconds = measure.seconds
            io_bytes = measure.bytes
            io_kbytes = measure.bytes / 1024
            bw_bytes = measure.bytesPerSecond ?? 0
            bw = bw_bytes / 1024
            iops = seconds > 0 ? Double(measure.transfers) / seconds : 0
            runtime = UInt64(seconds * 1000)
            total_ios = measure.transfers
        }
    }

    let jobname = "verify"
    let error: Int32
    let jobOptions: [String: String]
    let read: Direction
    let write: Direction

    enum CodingKeys: String, CodingKey {
        case jobname, error, read, write
        case jobOptions = "job options"
    }

    init(_ result: WorkloadResult, _ workload: Workload) {
        if case .errno(_, _, let number)? = result.interruption {
            error = number
        } else {
            error = 0
        }
        jobOptions = [
            "rw": workload.pattern.rawValue, "bs": "\(workload.blockSize)",
            "offset": "\(workload.offset)", "size": "\(workload.size)",
            "ioengine": workload.engine.rawValue, "iodepth": "\(workload.depth)",
            "direct": workload.direct ? "1" : "0",
            "randseed": "\(workload.randseed)", "loops": "\(workload.loops)",
            "verify": (workload.format.method ?? BlockFormat.defaultMethod).rawValue,
            "verify_only": workload.writes ? "0" : "1",
        ].merging(Self.formatOptions(workload.format)) { $1 }
        read = Direction(result.read)
        write = Direction(result.write)
    }

    /// Those that were given.
    private static func formatOptions(_ format: BlockFormat) -> [String: String] {
        [
            "verify_interval": format.interval.map { "\($0)" },
            "verify_offset": format.headerOffset > 0 ? "\(format.headerOffset)" : nil,
            "verify_pattern": format.pattern?.text,
        ].compactMapValues { $0 }
    }
}
