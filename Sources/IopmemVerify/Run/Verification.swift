// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import IopmemSystem
import SystemPackage

/// Everything that `verify` does to one target, from opening it to the report.
public struct Verification {
    /// What was asked for.
    public struct Request: Sendable {
        /// fio's words. A `size` of 0 means all of the target.
        public var workload: Workload
        /// fio's `direct` if the user gave one; else it follows from the target.
        public var direct: Bool?
        /// Block nodes to move data to and from, by path.
        public var peers: [String]
        /// Whether peers are also written, and restored.
        public var peerWrite: Bool

        /// A request.
        public init(
            workload: Workload, direct: Bool? = nil, peers: [String] = [], peerWrite: Bool = false
        ) {
            self.workload = workload
            self.direct = direct
            self.peers = peers
            self.peerWrite = peerWrite
        }
    }

    private let target: VerifyTarget
    private let name: String
    private let host: any Host
    private let workload: Workload
    private let window: BarWindow?
    private let peers: [Peer]
    private let peerWrite: Bool

    /// Whether data on a block device will be overwritten, so that somebody
    /// should agree.
    public var overwritesDevice: Bool { target.kind == .blockNode && workload.writes }
    /// What is written over, for the question.
    public var path: String { target.path }
    /// What will be done.
    public var plan: Workload { workload }

    /// Looks at the target and refuses what cannot work; changes nothing.
    public init(_ name: String, _ request: Request, on host: any Host) throws(IopmemError) {
        try Workload.validate(blockSize: request.workload.blockSize)
        let target = try VerifyTarget.find(name, on: host)
        var workload = request.workload
        workload.direct = request.direct ?? (target.kind == .blockNode && workload.engine != .mmap)
        workload.size = try Self.size(of: target, workload)
        try workload.validate()
        window = try target.window(root: host.root)
        if !request.peers.isEmpty {
            guard window != nil else {
                throw IopmemError(
                    .unsupported,
                    "--peer needs pages of the BAR in a mapping, and here there are none",
                    because: target.reasonWithoutPlacement,
                    remedy:
                        "name a file on a file system mounted with -o dax on a namespace of mode fsdax"
                )
            }
            guard workload.writes else {
                throw IopmemError(
                    .usage,
                    "--peer moves the peer's data into the target, and this workload only reads",
                    remedy: "leave out --peer, or use --rw write")
            }
        }
        var peers: [Peer] = []
        for path in request.peers {
            peers.append(try Peer.find(path, for: target, on: host))
        }
        self.peers = peers
        self.target = target
        self.name = name
        self.host = host
        self.workload = workload
        peerWrite = request.peerWrite
    }

    private static func size(
        of target: VerifyTarget, _ workload: Workload
    ) throws(IopmemError) -> UInt64 {
        let available: UInt64
        switch target.kind {
        case .newFile:
            guard workload.writes else {
                throw IopmemError(
                    .notFound, "\(target.path) does not exist",
                    remedy: "write it first: leave out --verify-only, and give --size")
            }
            guard workload.size > 0 else {
                throw IopmemError(
                    .usage, "\(target.path) does not exist yet",
                    remedy: "say how large it shall be: --size")
            }
            return workload.size
        case .file:
            available = target.size
            if workload.writes && workload.size > 0 { return workload.size }
        case .blockNode:
            let path = target.path
            do throws(Errno) {
                available = try OpenFile(path).blockGeometry().size
            } catch {
                throw IopmemError(error, "cannot open \(path)")
            }
        }
        guard workload.offset < available else {
            throw IopmemError(
                .usage,
                available == 0
                    ? "\(target.path) is empty"
                    : "--offset \(workload.offset) is behind the end of \(target.path) (\(available) bytes)",
                remedy: available == 0 ? "say how much shall be written: --size" : nil)
        }
        let rest = available - workload.offset
        guard workload.size <= rest else {
            throw IopmemError(
                .usage,
                "\(target.path) holds \(rest) bytes from --offset on, fewer than --size \(workload.size)",
                remedy:
                    "use --size \(rest / UInt64(workload.blockSize) * UInt64(workload.blockSize))")
        }
        return workload.size > 0 ? workload.size : rest
    }

    /// Refuses to write over what is recognised on a block device, or in use.
    ///
    /// - Parameter force: a recognised file system is no obstacle.
    public func checkOverwrite(force: Bool) throws(IopmemError) {
        guard overwritesDevice else { return }
        let found: [Signature]
        do throws(Errno) {
            found = try host.signatures(onNode: target.path)
        } catch {
            throw IopmemError(error, "cannot look for file systems on \(target.path)")
        }
        if host.isClaimed(target.path) { throw busy() }
        guard let first = found.first, !force else { return }
        throw IopmemError(
            .dataPresent, "\(target.path) holds \(first.type), which the test would destroy",
            remedy: "test a file on it instead, or add --force")
    }

    private func busy() -> IopmemError {
        let holders = target.device.map { host.holders(of: $0).map(\.description) } ?? []
        return IopmemError(
            .busy, "\(target.path) is in use",
            because: holders.isEmpty ? nil : holders.joined(separator: ", "),
            remedy: "unmount it, or test a file on it instead")
    }

    // MARK: The run

    /// Does everything and reports; throws only if nothing was begun.
    ///
    /// - Parameters:
    ///   - step: told what is done, line by line.
    ///   - progress: told how far the workload is.
    public func run(
        step: @escaping (String) -> Void, progress: @escaping (VerifyRun.Progress) -> Void
    ) throws(IopmemError) -> VerifyReport {
        host.holdSignals()
        let file = try openTarget()
        var report = VerifyReport(
            failures: [], target: name, options: workload,
            placementReason: target.reasonWithoutPlacement, p2p: [])
        if window != nil { try judgeDAX(file, &report) }
        if report.dax == true { movePeers(file, step, &report) }
        if host.pendingSignal() == nil {
            step(
                "\(workload.writes ? "writing and verifying" : "verifying") \(workload.blockCount) blocks of \(workload.blockSize) bytes, loops: \(workload.loops)"
            )
            try work(file, progress, &report)
        }
        if report.dax == true { place(file, step, &report) }
        if let signal = host.pendingSignal(),
            !report.failures.contains(where: { $0.code == .interrupted })
        {
            report.failures.append(Interruption.signal(signal).error(on: name))
        }
        return report
    }

    private func work(
        _ file: OpenFile, _ progress: @escaping (VerifyRun.Progress) -> Void,
        _ report: inout VerifyReport
    ) throws(IopmemError) {
        let run = try VerifyRun(
            workload, on: file,
            environment: .init(pendingSignal: { host.pendingSignal() }, progress: progress))
        let result = try run.run()
        report.workload = result
        if result.blocksBad > 0 {
            report.failures.append(
                IopmemError(
                    .verification,
                    "\(name): \(result.blocksBad) of \(result.blocksBad + result.blocksVerified) blocks are wrong",
                    remedy: "see the mismatches in the report"))
        }
        if let interruption = result.interruption {
            report.failures.append(interruption.error(on: name))
        } else if result.blocksVerified + result.blocksBad == 0 {
            report.failures.append(
                IopmemError(.verification, "\(name): not one block was verified"))
        }
    }

    private func judgeDAX(_ file: OpenFile, _ report: inout VerifyReport) throws(IopmemError) {
        do throws(Errno) {
            report.dax = try file.status().isDAX
        } catch {
            throw IopmemError(error, "cannot ask whether DAX is in effect for \(target.path)")
        }
        guard report.dax != true else { return }
        report.placementReason = "DAX is not in effect"
        report.failures.append(
            IopmemError(
                .verification,
                "\(name): DAX is not in effect: its pages are in RAM, not in the BAR",
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
        guard let window, !peers.isEmpty else { return }
        let page = UInt64(FileMapping.pageSize)
        let first = (workload.offset + page - 1) / page * page
        let last = (workload.offset + workload.size) / page * page
        for peer in peers where host.pendingSignal() == nil {
            let transfer = PeerTransfer(
                peer: peer, file: file, window: window, range: first..<max(first, last),
                host: host, step: step)
            report.p2p.append(transfer.readFromPeer())
            if peerWrite && host.pendingSignal() == nil {
                report.p2p.append(transfer.writeToPeer())
            }
        }
        for result in report.p2p {
            guard let failure = result.failure else { continue }
            report.failures.append(
                IopmemError(
                    failure.code, "\(name): \(result.peer), \(result.direction.rawValue)",
                    because: failure.message, remedy: failure.remedy, signal: failure.signal))
        }
    }

    private func place(
        _ file: OpenFile, _ step: (String) -> Void, _ report: inout VerifyReport
    ) {
        guard let window, host.pendingSignal() == nil else { return }
        step("comparing page frames with FIEMAP and \(window.description)")
        let placement: Placement
        do throws(IopmemError) {
            placement = try PlacementCheck(file: file, window: window).check(
                workload.offset..<(workload.offset + workload.size), writable: workload.writes,
                pendingSignal: { host.pendingSignal() })
        } catch {
            // What was found before is worth more than this.
            report.failures.append(error)
            report.placementReason = error.message
            return
        }
        report.placement = placement
        guard !placement.isDirect, host.pendingSignal() == nil else { return }
        report.failures.append(
            IopmemError(
                .verification,
                "\(name): \(placement.pagesInBar) of \(placement.pagesChecked) pages are in the BAR, \(placement.pagesAsMapped) where the file system says",
                because: placement.stray))
    }

    // MARK: Opening

    private func openTarget() throws(IopmemError) -> OpenFile {
        var options: OpenFile.Options = []
        if workload.writes { options.insert(.write) }
        if workload.direct { options.insert(.direct) }
        if overwritesDevice { options.insert(.exclusive) }
        if target.kind == .newFile { options.formUnion([.create, .exclusive]) }
        let file: OpenFile
        do throws(Errno) {
            file = try OpenFile(target.path, options)
        } catch .resourceBusy {
            throw busy()
        } catch {
            throw openFailure(error)
        }
        do throws(IopmemError) {
            try prepare(file)
        } catch {
            // A file that could not be made whole is not left behind.
            if target.kind == .newFile { FileName.remove(target.path) }
            throw error
        }
        return file
    }

    private func openFailure(_ error: Errno) -> IopmemError {
        let verb = workload.writes ? "for writing" : "for reading"
        if error == .invalidArgument && workload.direct {
            return IopmemError(
                .unsupported, "cannot open \(target.path) with O_DIRECT",
                because: error.description,
                remedy: "use --direct 0")
        }
        return IopmemError(
            error, "cannot open \(target.path) \(verb)",
            remedy: error == .readOnlyFileSystem
                ? "mount the file system read-write, or use --verify-only" : nil)
    }

    private func prepare(_ file: OpenFile) throws(IopmemError) {
        guard target.kind == .blockNode else { return try prepareFile(file) }
        do throws(Errno) {
            let geometry = try file.blockGeometry()
            guard !(workload.writes && geometry.isReadOnly) else { throw .readOnlyFileSystem }
            guard !workload.direct || workload.blockSize.isMultiple(of: geometry.logicalBlock),
                workload.offset.isMultiple(of: UInt64(geometry.logicalBlock))
            else { throw .invalidArgument }
        } catch .readOnlyFileSystem {
            throw IopmemError(
                .failed, "\(target.path) is read-only", remedy: "use --verify-only")
        } catch .invalidArgument {
            throw IopmemError(
                .usage,
                "\(target.path) has larger blocks than --bs \(workload.blockSize) or --offset \(workload.offset)",
                remedy: "use --bs 4k, or --direct 0")
        } catch {
            throw IopmemError(error, "cannot ask \(target.path) for its size")
        }
    }

    private func prepareFile(_ file: OpenFile) throws(IopmemError) {
        do throws(Errno) {
            guard workload.writes else { return }
            try file.lock()
            try file.allocate(offset: workload.offset, length: workload.size)
        } catch .wouldBlock {
            throw IopmemError(
                .busy, "\(target.path) is locked", because: "another run is on it",
                remedy: "wait for it to end")
        } catch {
            throw IopmemError(
                error, "cannot give \(target.path) \(workload.size) bytes",
                remedy: error == .noSpace ? "give a smaller --size" : nil)
        }
    }
}
