// SPDX-License-Identifier: GPL-2.0
public import Iopmem
public import IopmemSystem

/// The result of `verify`: the value of the JSON key of that name, and what the
/// table and the page are made from.
public struct VerifyReport: Sendable, Encodable {
    /// Pass or fail.
    public enum Verdict: String, Sendable, Encodable { case pass, fail }

    /// Where the data of a target is.
    public struct Path: Sendable, Equatable {
        /// The target.
        public var target: String
        /// Whether DAX is in effect; nil where the question is idle.
        public var dax: Bool?
        /// Where the pages are; nil where nothing can be said.
        public var placement: Placement?
        /// Why nothing is said about pages, where nothing is.
        public var placementReason: String?
        /// The function whose BAR it is.
        public var device: String?
        /// What its link can carry one way, in bytes per second; nil where it has none.
        public var linkBandwidth: UInt64?
    }

    /// What one job, or a group of them, came to.
    public struct JobResult: Sendable {
        /// fio's `name`.
        public var name: String
        /// What it ran on.
        public var target: String
        /// How many jobs it stands for.
        public var count: Int
        /// Which group of jobs it belongs to.
        var group: Int
        /// What was done, in fio's words.
        public var options: Workload
        /// What it found.
        public var result: WorkloadResult
    }

    /// Fails on any wrong byte, any transfer that was not direct, anything that
    /// ended the run early, and if not one block was verified.
    public var result: Verdict { failures.isEmpty ? .pass : .fail }
    /// Why it failed, each reason a sentence; empty if it passed.
    public var failures: [IopmemError] = []
    /// What makes the figures doubtful, each a sentence.
    public var warnings: [String] = []
    /// What the user named.
    public var target: String
    /// One for each target.
    public var paths: [Path]
    /// What the jobs found; empty if it did not come to that.
    public var jobs: [JobResult] = []
    /// Each peer in each direction.
    public var p2p: [PeerResult] = []
    /// What became of promises; nil where none were made or asked for.
    public var promises: PromiseOutcome?
    /// What the processors worked for all of it, the kernel's threads of ours included.
    public var processor = ProcessorTime()

    init(target: String, paths: [Path]) {
        self.target = target
        self.paths = paths
    }

    init(target: String, plan: Plan) {
        self.init(
            target: target,
            paths: plan.targets.map {
                Path(target: $0.path, device: $0.region?.device.description)
            })
    }

    /// Whether DAX is in effect for a target.
    func isDAX(_ index: Int) -> Bool { paths[index].dax == true }

    /// Takes a job's result in, with those of its group where they are reported as one.
    mutating func add(_ result: WorkloadResult, of job: Plan.Job) {
        if job.isGrouped,
            let index = jobs.firstIndex(where: { $0.group == job.group })
        {
            jobs[index].result.merge(result)
            jobs[index].count += 1
            return
        }
        jobs.append(
            JobResult(
                name: job.name, target: paths[job.target].target, count: 1, group: job.group,
                options: job.workload, result: result))
    }

    /// All jobs together; nil if there was none.
    public var workload: WorkloadResult? {
        guard var total = jobs.first?.result else { return nil }
        for job in jobs.dropFirst() { total.merge(job.result) }
        return total
    }

    /// Whether DAX is in effect for the first target; nil where the question is idle.
    public var dax: Bool? { paths.first?.dax }
    /// Where the pages of the first target are; nil where nothing can be said.
    public var placement: Placement? { paths.first?.placement }
    /// Why nothing is said about pages of the first target, where nothing is.
    public var placementReason: String? { paths.first?.placementReason }

    /// Seconds of processor time for each GiB that was moved; nil if nothing was.
    public var processorSecondsPerGiB: Double? {
        guard let moved = workload?.bytesMoved, moved > 0 else { return nil }
        return Double(processor.total) / 1e6 / (Double(moved) / Double(1 << 30))
    }

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
}
