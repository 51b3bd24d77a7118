// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem

extension VerifyReport {
    private enum CodingKeys: String, CodingKey {
        case result, target, dax
        case bytesWritten = "bytes_written"
        case bytesVerified = "bytes_verified"
        case blocksVerified = "blocks_verified"
        case blocksBad = "blocks_bad"
        case mismatches, placement
        case placementReason = "placement_reason"
        case linkBandwidth = "link_bandwidth"
        case processorSeconds = "cpu_seconds_per_gib"
        case p2p, jobs, targets, promises, warnings, failures
    }

    /// The keys of the public contract, and what else there is to say beside them. Those of one target
    /// are the first one's; with several, `targets` has each.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        let workload = workload
        try container.encode(result, forKey: .result)
        try container.encode(target, forKey: .target)
        try container.encodeIfPresent(dax, forKey: .dax)
        try container.encode(workload?.bytesWritten ?? 0, forKey: .bytesWritten)
        try container.encode(workload?.bytesVerified ?? 0, forKey: .bytesVerified)
        try container.encode(workload?.blocksVerified ?? 0, forKey: .blocksVerified)
        try container.encode(workload?.blocksBad ?? 0, forKey: .blocksBad)
        try container.encode(workload?.mismatches ?? [], forKey: .mismatches)
        try container.encodeIfPresent(placement, forKey: .placement)
        try container.encodeIfPresent(placementReason, forKey: .placementReason)
        try container.encodeIfPresent(paths.first?.linkBandwidth, forKey: .linkBandwidth)
        try container.encodeIfPresent(processorSecondsPerGiB, forKey: .processorSeconds)
        try container.encode(p2p, forKey: .p2p)
        try container.encode(jobs.map { FioJob($0) }, forKey: .jobs)
        if paths.count > 1 { try container.encode(paths, forKey: .targets) }
        try container.encodeIfPresent(promises, forKey: .promises)
        try container.encode(warnings, forKey: .warnings)
        try container.encode(failures.map(\.message), forKey: .failures)
    }
}

extension VerifyReport.Path: Encodable {
    private enum CodingKeys: String, CodingKey {
        case target, dax, placement
        case placementReason = "placement_reason"
        case device
        case linkBandwidth = "link_bandwidth"
    }

    /// What is not known is left out.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(target, forKey: .target)
        try container.encodeIfPresent(dax, forKey: .dax)
        try container.encodeIfPresent(placement, forKey: .placement)
        try container.encodeIfPresent(placementReason, forKey: .placementReason)
        try container.encodeIfPresent(device, forKey: .device)
        try container.encodeIfPresent(linkBandwidth, forKey: .linkBandwidth)
    }
}

/// One job with fio's `json+` keys, for what is measured (fio's stat.c, add_ddir_status_json()).
private struct FioJob: Encodable {
    /// Times of I/Os, in nanoseconds.
    struct Times: Encodable {
        let latencies: Latencies
        let isWhole: Bool

        private struct Key: CodingKey {
            let stringValue: String
            let intValue: Int? = nil
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        /// fio's own list.
        private static let percentiles = [
            1.0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99,
        ]

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            func put(_ value: some Encodable, _ key: String) throws {
                try container.encode(value, forKey: Key(stringValue: key))
            }
            try put(latencies.minimum, "min")
            try put(latencies.maximum, "max")
            try put(latencies.mean, "mean")
            try put(latencies.deviation, "stddev")
            try put(latencies.count, "N")
            guard isWhole, latencies.count > 0 else { return }
            var percents = container.nestedContainer(
                keyedBy: Key.self, forKey: Key(stringValue: "percentile"))
            for percent in Self.percentiles {
                try percents.encode(
                    latencies.percentile(percent),
                    forKey: Key(stringValue: Self.sixDecimals(percent)))
            }
            var bins = container.nestedContainer(
                keyedBy: Key.self, forKey: Key(stringValue: "bins"))
            for bucket in latencies.buckets {
                try bins.encode(bucket.count, forKey: Key(stringValue: "\(bucket.nanoseconds)"))
            }
        }

        /// `99.950000`.
        private static func sixDecimals(_ number: Double) -> String {
            let millionths = Int((number * 1_000_000).rounded())
            let fraction = String(millionths % 1_000_000)
            return "\(millionths / 1_000_000)."
                + String(repeating: "0", count: 6 - fraction.count) + fraction
        }
    }

    struct Direction: Encodable {
        let io_bytes: UInt64
        let io_kbytes: UInt64
        let bw_bytes: UInt64
        let bw: UInt64
        let iops: Double
        let runtime: UInt64
        let total_ios: UInt64
        let short_ios: UInt64
        let drop_ios: UInt64
        let clat_ns: Times
        let lat_ns: Times
        let bw_min: UInt64
        let bw_max: UInt64
        let bw_mean: Double
        let bw_dev: Double
        let bw_samples: Int

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
            // An I/O that is short ends the run.
            short_ios = 0
            drop_ios = 0
            clat_ns = Times(latencies: measure.latency, isWhole: true)
            lat_ns = Times(latencies: measure.latency, isWhole: false)
            // While the other direction had its turn nothing was moved.
            let rates = measure.course.rates.filter { $0 > 0 }.map { $0 / 1024 }
            bw_min = UInt64(rates.min() ?? 0)
            bw_max = UInt64(rates.max() ?? 0)
            let mean = rates.reduce(0, +) / Double(max(rates.count, 1))
            bw_mean = mean
            bw_dev =
                (rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
                / Double(max(rates.count, 1))).squareRoot()
            bw_samples = rates.count
        }
    }

    let jobname: String
    let groupid: Int
    let error: Int32
    let elapsed: UInt64
    let jobOptions: [String: String]
    let read: Direction
    let write: Direction
    let job_runtime: UInt64
    let usr_cpu: Double
    let sys_cpu: Double

    enum CodingKeys: String, CodingKey {
        case jobname, groupid, error, elapsed, read, write, job_runtime, usr_cpu, sys_cpu
        case jobOptions = "job options"
    }

    init(_ job: VerifyReport.JobResult) {
        let result = job.result
        if case .errno(_, _, let number)? = result.interruption {
            error = number
        } else {
            error = 0
        }
        jobname = job.name
        groupid = job.group
        elapsed = (result.elapsed + 999_999_999) / 1_000_000_000
        job_runtime = result.elapsed / 1_000_000
        let microseconds = Double(max(result.elapsed / 1000, 1)) * Double(job.count)
        usr_cpu = Double(result.processor.user) * 100 / microseconds
        sys_cpu = Double(result.processor.system) * 100 / microseconds
        jobOptions = Self.options(job)
        read = Direction(result.read)
        write = Direction(result.write)
    }

    private static func options(_ job: VerifyReport.JobResult) -> [String: String] {
        let workload = job.options
        let pace = workload.pace
        func text(_ number: (some CustomStringConvertible)?) -> String? { number?.description }
        let optional: [String: String?] = [
            "numjobs": job.count > 1 ? "\(job.count)" : nil,
            "verify_interval": text(workload.format.interval),
            "verify_offset": workload.format.headerOffset > 0
                ? "\(workload.format.headerOffset)" : nil,
            "verify_pattern": workload.format.pattern?.text,
            "verify_backlog": text(workload.backlog),
            "verify_backlog_batch": text(workload.backlogBatch),
            "verify_fatal": workload.stopsAtFirst ? "1" : nil,
            "fsync": text(workload.syncEvery),
            "norandommap": workload.repeats ? "1" : nil,
            "runtime": pace.runtime.map { "\(Monotonic.nanoseconds(of: $0) / 1_000_000)ms" },
            "time_based": pace.isTimeBased ? "1" : nil,
            "ramp_time": pace.ramp > .zero
                ? "\(Monotonic.nanoseconds(of: pace.ramp) / 1_000_000)ms" : nil,
            "rate": limit(pace.rate),
            "rate_iops": limit(pace.rateIOPS),
        ]
        let sizes: (String, String) =
            switch workload.sizes {
            case .fixed(let size): ("bs", "\(size)")
            case .range: ("bsrange", "\(workload.sizes)")
            case .split: ("bssplit", "\(workload.sizes)")
            }
        return [
            "filename": job.target, sizes.0: sizes.1,
            "rw": workload.pattern.rawValue,
            "offset": "\(workload.offset)", "size": "\(workload.size)",
            "ioengine": workload.engine.rawValue, "iodepth": "\(workload.depth)",
            "direct": workload.direct ? "1" : "0",
            "randseed": "\(workload.randseed)", "loops": "\(workload.loops)",
            "verify": (workload.format.method ?? BlockFormat.defaultMethod).rawValue,
            "verify_only": workload.writes ? "0" : "1",
        ].merging(optional.compactMapValues { $0 }) { $1 }
    }

    private static func limit(_ limit: Pace.Limit) -> String? {
        guard !limit.isEmpty else { return nil }
        return "\(limit.read.map { "\($0)" } ?? ""),\(limit.write.map { "\($0)" } ?? "")"
    }
}
