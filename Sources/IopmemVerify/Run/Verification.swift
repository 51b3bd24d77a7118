// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import IopmemSystem
import SystemPackage

/// Everything that `verify` does, from opening its targets to the report.
public struct Verification {
    /// What was asked for.
    public struct Request: Sendable {
        /// At least one.
        public var jobs: [JobSpec]
        /// What jobs without a file of their own are aimed at: a namespace, a block node, a file.
        public var target: String?
        /// Block nodes to move data to and from, by path.
        public var peers: [String] = []
        /// Whether peers are also written, and restored.
        public var peerWrite = false
        /// The file that remembers what was promised; nil for none.
        public var state: String?

        /// A request for some jobs.
        public init(_ jobs: [JobSpec], on target: String?) {
            self.jobs = jobs
            self.target = target
        }

        /// A request for one.
        public init(
            workload: Workload, direct: Bool? = nil, on target: String, peers: [String] = [],
            peerWrite: Bool = false
        ) {
            var job = JobSpec("verify")
            job.workload = workload
            job.direct = direct
            self.init([job], on: target)
            self.peers = peers
            self.peerWrite = peerWrite
        }
    }

    let plan: Plan
    private let name: String
    private let host: any Host
    /// The memory behind each target.
    private let windows: [BarWindow?]
    private let peers: [Peer]
    private let peerWrite: Bool
    private let state: VerifyState?

    /// Looks at the targets and refuses what cannot work; changes nothing.
    public init(_ request: Request, on host: any Host) throws(IopmemError) {
        let state = try request.state.map { path throws(IopmemError) in
            try VerifyState(path, for: request.jobs)
        }
        let plan = try Plan(state?.jobs ?? request.jobs, target: request.target, on: host)
        try state?.refuseUnfit(plan)
        windows = try plan.targets.map { target throws(IopmemError) in
            try target.window(root: host.root)
        }
        name = request.target ?? plan.targets.map(\.path).joined(separator: ", ")
        var peers: [Peer] = []
        if !request.peers.isEmpty {
            try Self.refusePeers(plan, windows)
            for path in request.peers {
                peers.append(try Peer.find(path, for: plan.targets[0], on: host))
            }
        }
        self.plan = plan
        self.peers = peers
        self.state = state
        self.host = host
        peerWrite = request.peerWrite
    }

    private static func refusePeers(_ plan: Plan, _ windows: [BarWindow?]) throws(IopmemError) {
        guard plan.targets.count == 1 else {
            throw IopmemError(
                .usage,
                "--peer moves data into one target, and these jobs have \(plan.targets.count)",
                remedy: "verify the others in a run of their own")
        }
        guard windows[0] != nil else {
            throw IopmemError(
                .unsupported,
                "--peer needs pages of the BAR in a mapping, and here there are none",
                because: plan.targets[0].reasonWithoutPlacement,
                remedy:
                    "name a namespace of mode devdax, or a file on a file system mounted with -o dax"
                    + " on one of mode fsdax")
        }
        guard plan.writes(to: 0) else {
            throw IopmemError(
                .usage,
                "--peer moves the peer's data into the target, and this workload only reads",
                remedy: "leave out --peer, or use --rw write")
        }
    }

    // MARK: What will be done

    /// What will be done, a sentence for each job.
    public var description: [String] {
        plan.jobs.map { job in
            let workload = job.workload
            return "\(workload.writes ? "write and verify" : "verify") "
                + "\(ByteSize.display(workload.size)) of \(plan.targets[job.target].path) from offset "
                + "\(workload.offset) in blocks of \(workload.sizes)"
                + (workload.loops > 1 ? ", \(workload.loops) times" : "")
        }
    }

    /// Devices whose data will be overwritten, so that somebody should agree: their paths,
    /// how many bytes, and what they are.
    public var overwritten: [(path: String, bytes: UInt64, risk: DataAtRisk)] {
        plan.targets.indices.filter(overwrites).map { index in
            let target = plan.targets[index]
            let risk = DataAtRisk(
                node: target.path, isBlock: target.kind == .blockNode,
                disk: target.device?.disk, target.namespace, on: host)
            return (target.path, UInt64(plan.range(of: index).count), risk)
        }
    }

    private func overwrites(_ index: Int) -> Bool {
        plan.targets[index].isDevice && plan.writes(to: index)
    }

    /// Whether sha512 is written as a release of fio does that leaves it unfinished.
    public var writesUnfinishedDigest: Bool {
        plan.jobs.map(\.workload).contains { workload in
            workload.writes && workload.format.method == .sha512
                && !workload.format.release.isSHA512Finished
        }
    }

    /// Whether two or more copies of a job share one range.
    public var sharesRange: Bool {
        Set(plan.jobs.map(\.name)).count < plan.jobs.count
    }

    /// Refuses to write over what is recognised on a block device, or in use.
    ///
    /// - Parameter force: a recognised file system is no obstacle.
    public func checkOverwrite(force: Bool) throws(IopmemError) {
        for index in plan.targets.indices where overwrites(index) {
            let target = plan.targets[index]
            guard target.kind == .blockNode else { continue }
            let found: [Signature]
            do throws(Errno) {
                found = try host.signatures(onNode: target.path)
            } catch {
                throw IopmemError(error, "cannot look for file systems on \(target.path)")
            }
            if host.isClaimed(target.path) { throw target.busy(on: host) }
            guard let first = found.first, !force else { continue }
            throw IopmemError(
                .dataPresent, "\(target.path) holds \(first.type), which the test would destroy",
                remedy: "test a file on it instead, or add --force")
        }
    }

    // MARK: The run

    /// Does everything and reports; throws only if nothing was begun.
    ///
    /// - Parameters:
    ///   - step: told what is done, line by line.
    ///   - progress: told how far the jobs are.
    public func run(
        step: @escaping (String) -> Void, progress: @escaping (RunMonitor.Progress) -> Void
    ) throws(IopmemError) -> VerifyReport {
        host.holdSignals()
        var files: [TargetFiles] = []
        for index in plan.targets.indices {
            files.append(try TargetFiles(index, of: plan, on: host))
        }
        var report = VerifyReport(target: name, plan: plan)
        for index in plan.targets.indices { try judgeDAX(index, files[index].main, &report) }
        if report.isDAX(0) { movePeers(files[0].main, step, &report) }
        if host.pendingSignal() == nil { try work(files, step, progress, &report) }
        for index in plan.targets.indices where report.isDAX(index) {
            place(index, files[index].main, step, &report)
        }
        for index in plan.targets.indices { judgeLink(index, &report) }
        judgePeers(&report)
        if let signal = host.pendingSignal(),
            !report.failures.contains(where: { $0.code == .interrupted })
        {
            report.failures.append(Interruption.signal(signal).error(on: name))
        }
        return report
    }

    private func work(
        _ files: [TargetFiles], _ step: (String) -> Void,
        _ progress: (RunMonitor.Progress) -> Void, _ report: inout VerifyReport
    ) throws(IopmemError) {
        let usage = ProcessorTime.ofProcess()
        defer { report.processor = ProcessorTime.ofProcess() - usage }
        let monitor = RunMonitor(jobs: plan.jobs.count)
        for turn in plan.turns where host.pendingSignal() == nil {
            for line in turn.map({ description[$0] }).uniqued { step(line) }
            let bodies = turn.map { index in
                let job = plan.jobs[index]
                let file = files[job.target].file(for: job.workload)
                let state = state
                let memory = plan.targets[job.target].memory
                return { @Sendable () -> Result<WorkloadResult, IopmemError> in
                    Result { () throws(IopmemError) in
                        let environment = monitor.environment(of: index)
                        guard let state else {
                            return try VerifyRun(
                                job.workload, on: file, environment: environment, memory: memory
                            ).run()
                        }
                        return try state.run(
                            job.workload, on: file, environment: environment, memory: memory)
                    }
                }
            }
            let results = Workers.run(bodies) {
                if let signal = host.pendingSignal() { monitor.stop(signal) }
                progress(monitor.progress)
            }
            for (index, result) in zip(turn, results) { try take(index, result, &report) }
        }
        report.promises = state?.outcome
        judge(&report)
    }

    private func take(
        _ index: Int, _ result: Result<WorkloadResult, IopmemError>, _ report: inout VerifyReport
    ) throws(IopmemError) {
        switch result {
        case .success(let result):
            report.add(result, of: plan.jobs[index])
        case .failure(let error):
            // What other jobs have found is not thrown away.
            guard !report.jobs.isEmpty || plan.jobs.count > 1 else { throw error }
            report.failures.append(error)
        }
    }

    private func judge(_ report: inout VerifyReport) {
        guard let total = report.workload else { return }
        if total.blocksBad > 0 {
            report.failures.append(
                IopmemError(
                    .verification,
                    "\(name): \(total.blocksBad) of \(total.blocksBad + total.blocksVerified) blocks are wrong",
                    remedy: "see the mismatches in the report"))
        }
        var isInterrupted = false
        for job in report.jobs {
            let path = plan.jobs.count > 1 ? "\(job.name), \(job.target)" : name
            if let interruption = job.result.interruption {
                // One signal ends all jobs.
                if case .signal = interruption, isInterrupted { continue }
                isInterrupted = true
                report.failures.append(interruption.error(on: path))
            } else if job.result.blocksVerified + job.result.blocksBad == 0 {
                report.failures.append(
                    IopmemError(.verification, "\(path): not one block was verified"))
            }
        }
        if let promises = report.promises {
            report.failures += promises.failures(on: name)
        }
    }

    private func judgeDAX(
        _ index: Int, _ file: OpenFile, _ report: inout VerifyReport
    ) throws(IopmemError) {
        let target = plan.targets[index]
        report.paths[index].placementReason = target.reasonWithoutPlacement
        guard windows[index] != nil else { return }
        let isDAX: Bool
        do throws(Errno) {
            isDAX = try file.status().isDAX
        } catch {
            throw IopmemError(error, "cannot ask whether DAX is in effect for \(target.path)")
        }
        report.paths[index].dax = isDAX
        guard !isDAX else { return }
        report.paths[index].placementReason = "DAX is not in effect"
        report.failures.append(
            IopmemError(
                .verification,
                "\(target.path): DAX is not in effect: its pages are in RAM, not in the BAR",
                remedy: "mount the file system with -o dax=always (ext4: with 4 KiB blocks; xfs: "
                    + "without a real-time device), and look with iopmemctl doctor"))
        for peer in peers {
            report.p2p.append(
                PeerResult(
                    peer: peer.path, direction: .peerToBAR,
                    evidence: "not tried: DAX is not in effect"))
        }
    }

    private func movePeers(
        _ file: OpenFile, _ step: @escaping (String) -> Void, _ report: inout VerifyReport
    ) {
        guard let window = windows[0], !peers.isEmpty else { return }
        let page = UInt64(FileMapping.pageSize)
        let range = plan.range(of: 0)
        let first = (range.lowerBound + page - 1) / page * page
        let last = range.upperBound / page * page
        for peer in peers where host.pendingSignal() == nil {
            let transfer = PeerTransfer(
                peer: peer, file: file, window: window, range: first..<max(first, last),
                host: host, step: step, isMemory: plan.targets[0].memory != nil)
            report.p2p.append(transfer.readFromPeer())
            if peerWrite && host.pendingSignal() == nil {
                report.p2p.append(transfer.writeToPeer())
            }
        }
        addTopology(to: &report)
        judgeUncounted(&report)
        for result in report.p2p {
            guard let failure = result.failure else { continue }
            report.failures.append(
                IopmemError(
                    failure.code, "\(name): \(result.peer), \(result.direction.rawValue)",
                    because: failure.message, remedy: failure.remedy, signal: failure.signal))
        }
    }

    /// Where bounces could not be counted, what is known of the machine decides; and where that says
    /// nothing against it, it is said that nobody has looked.
    private func judgeUncounted(_ report: inout VerifyReport) {
        for index in report.p2p.indices where report.p2p[index].failure == nil {
            let result = report.p2p[index]
            guard let reason = result.uncounted, let provider = plan.targets[0].region?.device,
                let peer = peers.first(where: { $0.path == result.peer })
            else { continue }
            let checks = (try? Doctor(host, release: "").examine([provider])) ?? []
            let obstacle = checks.first { check in
                check.status == .problem
                    && (check.id == "swiotlb"
                        || check.id == "dma_mask" && check.subject.hasPrefix(peer.function))
            }
            if let obstacle {
                report.p2p[index].result = .fail
                report.p2p[index].evidence += "; \(obstacle.subject): \(obstacle.finding)"
                report.p2p[index].failure = IopmemError(
                    .verification, "\(obstacle.subject): \(obstacle.finding)",
                    remedy: obstacle.remedy)
            } else {
                report.warnings.append(
                    "\(result.peer), \(result.direction.rawValue): nobody counted what the kernel copied"
                        + " through bounce buffers in RAM (\(reason))")
            }
        }
    }

    /// What the way between each peer and the memory is, beside what came of it.
    private func addTopology(to report: inout VerifyReport) {
        guard let provider = plan.targets[0].region?.device,
            let topology = try? Topology(root: host.root)
        else { return }
        for index in report.p2p.indices {
            guard let peer = peers.first(where: { $0.path == report.p2p[index].peer }),
                let client = PCIAddress(peer.function)
            else { continue }
            report.p2p[index].topology = try? topology.pair(provider: provider, client: client)
        }
    }

    private func place(
        _ index: Int, _ file: OpenFile, _ step: (String) -> Void, _ report: inout VerifyReport
    ) {
        guard let window = windows[index], host.pendingSignal() == nil else { return }
        let authority = plan.targets[index].memory == nil ? "FIEMAP" : "its offset"
        step("comparing page frames with \(authority) and \(window.description)")
        let placement: Placement
        do throws(IopmemError) {
            placement = try PlacementCheck(
                file: file, window: window, isMemory: plan.targets[index].memory != nil
            ).check(
                plan.range(of: index), writable: plan.writes(to: index),
                pendingSignal: { host.pendingSignal() })
        } catch {
            // What was found before is worth more than this.
            report.failures.append(error)
            report.paths[index].placementReason = error.message
            return
        }
        report.paths[index].placement = placement
        guard !placement.isDirect, host.pendingSignal() == nil else { return }
        report.failures.append(
            IopmemError(
                .verification,
                "\(plan.targets[index].path): \(placement.pagesInBar) of \(placement.pagesChecked) pages are in the BAR, \(placement.pagesAsMapped) where \(placement.authority)",
                because: placement.stray))
    }

    /// Flags what no link can have carried.
    private func judgeLink(_ index: Int, _ report: inout VerifyReport) {
        guard let region = plan.targets[index].region else { return }
        guard let link = link(of: region.device.description) else { return }
        report.paths[index].linkBandwidth = link.bandwidth
        let jobs = report.jobs.filter { $0.target == plan.targets[index].path }
        for (words, measures) in [
            ("written", jobs.map(\.result.write)), ("read", jobs.map(\.result.read)),
        ] {
            // A second and a fraction of a megabyte say nothing.
            for measure in measures where measure.bytes >= 1 << 20 {
                guard let rate = measure.bytesPerSecond, rate > link.bandwidth else { continue }
                report.warnings.append(
                    "\(plan.targets[index].path): \(words) with \(ByteSize.display(rate))/s, more than"
                        + " the link of \(region.device) can carry (\(ByteSize.display(link.bandwidth))/s):"
                        + " a cache between here and the memory has answered")
                break
            }
        }
    }

    private func link(of function: String) -> PCILink? {
        PCILink(of: "sys/bus/pci/devices/\(function)", root: host.root)
    }

    /// The same of peers, whose own links are on the way as well.
    private func judgePeers(_ report: inout VerifyReport) {
        for result in report.p2p where result.bytes >= 1 << 20 {
            guard let rate = result.bytesPerSecond,
                let peer = peers.first(where: { $0.path == result.peer })
            else { continue }
            let functions = [peer.function, report.paths[0].device].compactMap(\.self)
            for function in functions {
                guard let link = link(of: function), rate > link.bandwidth else { continue }
                report.warnings.append(
                    "\(result.peer), \(result.direction.rawValue): \(ByteSize.display(rate))/s is more than"
                        + " the link of \(function) can carry (\(ByteSize.display(link.bandwidth))/s): not all"
                        + " of it has crossed that, or it is emulated")
                break
            }
        }
    }
}

extension Array where Element: Hashable {
    /// Without those that were there before.
    fileprivate var uniqued: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
