// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// The options of fio's that this tool has, and what each sets (fio's HOWTO, "Job parameters").
enum JobOptions {
    private typealias Setter = @Sendable (_ value: String, _ job: inout JobSpec) throws -> Void

    /// Sets an option, or says why it cannot be.
    ///
    /// - Parameter value: nil where only the name is given, which is as good as 1.
    static func set(_ key: String, _ value: String?, in job: inout JobSpec) throws {
        let name = aliases[key] ?? key
        if let setter = table[name] {
            return try setter(value ?? "1", &job)
        }
        if let (allowed, reason) = fixed[name] {
            let value = value ?? "1"
            guard allowed.contains(value) else {
                throw FioValue.Refusal("\(key)=\(value): \(reason)")
            }
            return
        }
        let known = Array(table.keys) + Array(fixed.keys) + Array(aliases.keys)
        let nearest = FioValue.nearest(to: key, among: known) ?? "rw"
        throw FioValue.Refusal(
            "\(key) is not among the options that this tool has; the nearest one is \(nearest)")
    }

    private static let aliases = [
        "readwrite": "rw", "blocksize": "bs", "blocksize_range": "bsrange",
        "header_interval": "verify_interval", "header_offset": "verify_offset",
        "timeout": "runtime", "wait_for_previous": "stonewall", "fileoffset": "offset",
    ]

    /// Options of which only what this tool does anyway can be asked for.
    private static let fixed: [String: (allowed: Set<String>, reason: String)] = [
        "do_verify": (["1"], "a run that verifies nothing is never a pass"),
        "end_fsync": (["0", "1"], "what was written is always made durable before it is verified"),
        "fixedbufs": (["1"], "io_uring's buffers are always registered here"),
        "registerfiles": (["1"], "io_uring's files are always registered here"),
        "invalidate": (["1"], "cached pages are always dropped before they are verified"),
        "kb_base": (["1024"], "k is 1024 here"),
        "nrfiles": (["1"], "a job has one file here"),
        "randrepeat": (["1"], "the order is the same for the same randseed; give another one"),
        "refill_buffers": (["0", "1"], "each block has its own data"),
        "thread": (["0", "1"], "jobs are threads"),
        "unlink": (["0"], "files are left where they are"),
        "verify_dump": (["0"], "the report has the wrong bytes"),
        "verify_state_load": (["0"], "blocks say themselves what they should hold"),
        "verify_state_save": (["0"], "use --state"),
    ]

    private static let table: [String: Setter] = [
        "rw": { value, job in job.workload.pattern = try pattern(value) },
        "bs": { value, job in
            job.workload.sizes = .fixed(try FioValue.blockSize(try used(value, job)))
        },
        "bsrange": { value, job in job.workload.sizes = try FioValue.range(try used(value, job)) },
        "bssplit": { value, job in job.workload.sizes = try FioValue.split(try used(value, job)) },
        "size": { value, job in
            guard value.hasSuffix("%") else {
                job.workload.size = try FioValue.bytes(value)
                job.sizePercent = nil
                return
            }
            let percent = try FioValue.count(String(value.dropLast()))
            guard (1...100).contains(percent) else { throw FioValue.Refusal("\(value) is no part") }
            job.sizePercent = Int(percent)
            job.workload.size = 0
        },
        "offset": { value, job in job.workload.offset = try FioValue.bytes(value) },
        "offset_increment": { value, job in job.offsetIncrement = try FioValue.bytes(value) },
        "filename": { value, job in
            guard !value.replacing("\\:", with: "").contains(":") else {
                throw FioValue.Refusal("\(value): a job has one file here")
            }
            job.filename = value.replacing("\\:", with: ":")
        },
        "directory": { value, job in job.directory = value },
        "description": { _, _ in },
        "ioengine": { value, job in job.workload.engine = try FioValue.word(value) },
        "iodepth": { value, job in
            job.workload.depth = Int(clamping: try FioValue.count(value))
        },
        "direct": { value, job in job.direct = try FioValue.isOn(value) },
        "buffered": { value, job in job.direct = try !FioValue.isOn(value) },
        "numjobs": { value, job in
            let count = try FioValue.count(value)
            guard (1...256).contains(count) else {
                throw FioValue.Refusal("\(value) is not between 1 and 256")
            }
            job.copies = Int(count)
        },
        "runtime": { value, job in
            let time = try FioValue.duration(value)
            job.workload.pace.runtime = time > .zero ? time : nil
        },
        "time_based": { value, job in
            job.workload.pace.isTimeBased = try FioValue.isOn(value)
        },
        "ramp_time": { value, job in job.workload.pace.ramp = try FioValue.duration(value) },
        "loops": { value, job in
            job.workload.pace.loops = Int(clamping: try FioValue.count(value))
        },
        "rate": { value, job in
            job.workload.pace.rate = try FioValue.limit(value, FioValue.bytes)
        },
        "rate_iops": { value, job in
            job.workload.pace.rateIOPS = try FioValue.limit(value, FioValue.count)
        },
        "randseed": { value, job in job.workload.randseed = try FioValue.count(value) },
        "norandommap": { value, job in job.workload.repeats = try FioValue.isOn(value) },
        "fsync": { value, job in
            let count = try FioValue.count(value)
            job.workload.syncEvery = count > 0 ? count : nil
        },
        "stonewall": { value, job in job.waits = try FioValue.isOn(value) },
        "group_reporting": { value, job in job.isGrouped = try FioValue.isOn(value) },
        "new_group": { value, job in job.beginsGroup = try FioValue.isOn(value) },
        "verify": { value, job in
            let names = ["crc32c-intel": "crc32c"]
            job.workload.format.method = try FioValue.word(
                names[value] ?? value, VerifyMethod.self)
        },
        "verify_interval": { value, job in
            let bytes = try FioValue.bytes(value)
            job.workload.format.interval = bytes > 0 ? Int(clamping: bytes) : nil
        },
        "verify_offset": { value, job in
            job.workload.format.headerOffset = Int(clamping: try FioValue.bytes(value))
        },
        "verify_pattern": { value, job in
            do throws(IopmemError) {
                job.workload.format.pattern = try FillPattern(value)
            } catch {
                throw FioValue.Refusal(error.message)
            }
        },
        "verify_backlog": { value, job in
            let count = try FioValue.count(value)
            job.workload.backlog = count > 0 ? count : nil
        },
        "verify_backlog_batch": { value, job in
            job.workload.backlogBatch = try FioValue.count(value)
        },
        "verify_only": { value, job in job.workload.verifyOnly = try FioValue.isOn(value) },
        "verify_fatal": { value, job in job.workload.stopsAtFirst = try FioValue.isOn(value) },
    ]

    private static func pattern(_ text: String) throws -> Workload.Pattern {
        try FioValue.word(text == "rw" ? "readwrite" : text)
    }

    /// Of the values for reading and for writing, the one that blocks are written with: what is
    /// verified are the same blocks.
    private static func used(_ text: String, _ job: JobSpec) throws -> Substring {
        let (read, write) = try FioValue.directions(text)
        guard read == write || read.isEmpty || write.isEmpty else {
            throw FioValue.Refusal("\(text): blocks are read as they were written")
        }
        return write.isEmpty ? read : write
    }
}
