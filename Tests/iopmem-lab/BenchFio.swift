// SPDX-License-Identifier: GPL-2.0

import VMLab

/// Measures lines with fio in a guest, device after device, round after round.
struct BenchFio {
    let machine: Machine
    let lines: [BenchLine]
    let devices: [BenchDevice]

    /// MiB of each device that are used.
    static let span = 240
    /// Where the guest keeps its notes.
    private static let folder = "/run/bench"

    /// One round: all lines, and on each the devices one after the other. The order moves on from round
    /// to round, so that none always follows the same.
    func round(_ number: Int, into table: inout BenchTable) async throws {
        let order = devices.indices.map { devices[($0 + number) % devices.count] }
        try await machine.guest.run(
            """
            mkdir -p \(Self.folder) && cd \(Self.folder) && rm -f *
            cat >jobs <<'END'
            \(jobFile(order))
            END
            """)
        let cells = lines.count * devices.count + 4
        // fio puts its remarks above its report.
        // An emulated processor on a busy host takes its time to start each job.
        let outcome = try await machine.guest.run(
            "cd \(Self.folder) && fio --output-format=json --output=result jobs >log 2>&1"
                + " || { tail -n 20 log result; exit 1; }\nsed -n '/^{/,$p' result",
            within: cells * 10 + 60)
        let report: Report = try outcome.json()
        let clocks = try await machine.guest.run(
            "cd \(Self.folder) && grep -H . pre.* post.*"
        ).output
        let spans = Self.spans(clocks)
        let idle = try [1, 2].map { jobs in
            BenchSpread(
                try [0, 1].map { turn in
                    Double(try Self.known(spans, "null-\(jobs)-\(turn)"))
                }
            ).median
        }
        for (index, line) in lines.enumerated() {
            let samples = try order.map { device in
                try sample(
                    of: report, spans, Self.name(index, device), on: line,
                    idle: Int(idle[line.jobs - 1]))
            }
            // What starting a job takes varies on a busy host, and may look like more than all of it.
            guard samples.allSatisfy({ $0.processorTime > 0 }) else {
                Progress.say("\(line.work), \(line.manner): this round tells nothing")
                continue
            }
            for (device, sample) in zip(order, samples) {
                table.add(sample, of: device, on: line)
            }
        }
    }

    private func sample(
        of report: Report, _ spans: [String: Int], _ name: String, on line: BenchLine, idle: Int
    ) throws -> BenchSample {
        guard let job = report.jobs.first(where: { $0.jobname == name }) else {
            throw LabError("fio does not report \(line.work), \(line.manner)")
        }
        let side = line.pattern.isWrite ? job.write : job.read
        guard job.error == 0, side.io_bytes > 0 else {
            throw LabError("fio failed at \(line.work), \(line.manner): \(name)")
        }
        return BenchSample(
            bytes: side.io_bytes, runtime: side.runtime,
            processorTime: try Self.known(spans, name) - idle)
    }

    private static func name(_ line: Int, _ device: BenchDevice) -> String {
        "line\(line)-\(device.rawValue)"
    }

    private func jobFile(_ order: [BenchDevice]) -> String {
        var sections = [
            """
            [global]
            thread=1
            group_reporting=1
            gtod_reduce=1
            norandommap=1
            direct=1
            """
        ]
        // Jobs that do nothing: what the clock counts for them is not the devices'.
        func null(_ turn: Int) -> [String] {
            [1, 2].map { jobs in
                section("null-\(jobs)-\(turn)", ["ioengine=null", "size=4k", "numjobs=\(jobs)"])
            }
        }
        sections += null(0)
        for (index, line) in lines.enumerated() {
            for device in order {
                let size = Self.span / line.jobs
                sections.append(
                    section(
                        Self.name(index, device),
                        [
                            "filename=\(device.node)", "rw=\(line.pattern.rawValue)",
                            "bs=\(line.block)k", "ioengine=\(line.engine)",
                            "iodepth=\(line.depth)", "numjobs=\(line.jobs)", "size=\(size)m",
                            "offset_increment=\(size)m",
                            "io_size=\(line.amount / line.jobs)m", "runtime=1s",
                        ]))
            }
        }
        sections += null(1)
        return sections.joined(separator: "\n")
    }

    private func section(_ name: String, _ options: [String]) -> String {
        let hooks = [
            "stonewall", "exec_prerun=iopmem-guest clock pre.\(name)",
            "exec_postrun=iopmem-guest clock post.\(name)",
        ]
        return (["[\(name)]"] + hooks + options).joined(separator: "\n")
    }

    /// From the first job's start to the last one's end, by name.
    private static func spans(_ notes: String) -> [String: Int] {
        var starts: [String: Int] = [:]
        var ends: [String: Int] = [:]
        for line in notes.split(separator: "\n") {
            let parts = line.split(separator: ":")
            guard parts.count == 2, let time = Int(parts[1]) else { continue }
            let file = parts[0].split(separator: ".")
            guard file.count == 2 else { continue }
            let name = String(file[1])
            if file[0] == "pre" {
                starts[name] = min(starts[name] ?? time, time)
            } else {
                ends[name] = max(ends[name] ?? time, time)
            }
        }
        return starts.reduce(into: [:]) { spans, start in
            if let end = ends[start.key] { spans[start.key] = end - start.value }
        }
    }

    private static func known(_ spans: [String: Int], _ name: String) throws -> Int {
        if let span = spans[name] { return span }
        throw LabError("the clock has no note of \(name)")
    }

    /// What is used of fio's report.
    private struct Report: Decodable {
        let jobs: [Job]

        struct Job: Decodable {
            let jobname: String
            let error: Int
            let read: Side
            let write: Side
        }

        struct Side: Decodable {
            let io_bytes: Int
            let runtime: Int
        }
    }
}
