// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemVerify

/// What `verify` found, for people and for programs.
struct VerifyOutput: Report {
    /// More rows than these a person does not read.
    private static let rows = 20

    let verify: VerifyReport

    private enum CodingKeys: String, CodingKey { case verify }

    var sections: [ReportSection] {
        var sections: [ReportSection] = [.table(summary)]
        if let mismatches = verify.workload?.mismatches, !mismatches.isEmpty {
            let shown = mismatches.prefix(Self.rows)
            sections.append(.table(table(of: shown)))
            if mismatches.count > shown.count {
                sections.append(
                    .text("… and \(mismatches.count - shown.count) more: -o json has them"))
            }
        }
        if !verify.failures.isEmpty {
            sections.append(.text(verify.failures.map(\.message).joined(separator: "\n")))
        }
        return sections
    }

    private var summary: Table {
        var table = Table(.text("VERIFY"), .text(verify.result.rawValue.uppercased()))
        table.add("target", verify.target)
        if let workload = verify.workload {
            if workload.write.transfers > 0 { table.add("written", rate(workload.write)) }
            table.add("read", rate(workload.read))
            table.add(
                "verified",
                "\(workload.blocksVerified) blocks (\(ByteSize.display(workload.bytesVerified))) right, "
                    + "\(workload.blocksBad) wrong")
        }
        if let seconds = verify.processorSecondsPerGiB {
            table.add("CPU", "\(Self.twoDecimals(seconds)) s for each GiB")
        }
        for path in verify.paths { add(path, to: &table) }
        for peer in verify.p2p {
            let way =
                peer.direction == .peerToBAR ? "\(peer.peer) -> BAR" : "BAR -> \(peer.peer)"
            let rate = peer.bytesPerSecond.map { ", \(ByteSize.display($0))/s" } ?? ""
            table.add(
                way,
                "\(peer.result.rawValue), \(ByteSize.display(peer.bytes))\(rate): \(peer.evidence)")
        }
        for peer in verify.p2p.filter({ $0.direction == .peerToBAR }) {
            guard let pair = peer.topology else { continue }
            table.add("topology", "\(peer.peer): \(pair.verdict.rawValue): \(pair.reason)")
        }
        if let promises = verify.promises { add(promises, to: &table) }
        if verify.jobs.count > 1 {
            for job in verify.jobs {
                table.add(
                    "job \(job.name)",
                    "\(job.target): \(job.result.blocksVerified) right, \(job.result.blocksBad) wrong"
                )
            }
        }
        return table
    }

    private func add(_ path: VerifyReport.Path, to table: inout Table) {
        let name = verify.paths.count > 1 ? "\(path.target): " : ""
        if let dax = path.dax { table.add("DAX", name + (dax ? "in effect" : "not in effect")) }
        if let placement = path.placement {
            table.add(
                "pages",
                "\(name)\(placement.pagesInBar) of \(placement.pagesChecked) in the BAR, "
                    + "\(placement.pagesAsMapped) where \(placement.authority)")
        } else if let reason = path.placementReason {
            table.add("pages", "\(name)nothing said: \(reason)")
        }
        if let bandwidth = path.linkBandwidth {
            table.add("link", "\(name)\(ByteSize.display(bandwidth))/s each way")
        }
    }

    private func add(_ promises: PromiseOutcome, to table: inout Table) {
        table.add(
            "promises",
            "\(promises.kept) of \(promises.promised) blocks kept, \(promises.broken) broken")
        table.add(
            "window",
            "\(promises.window) blocks were being written: \(promises.windowNew) new, "
                + "\(promises.windowOld) as before, \(promises.windowTorn) torn")
        if promises.unpromised > 0 {
            table.add("not begun", "\(promises.unpromised) blocks, of which nothing was known")
        }
    }

    private static func twoDecimals(_ number: Double) -> String {
        let hundredths = Int((number * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    private func rate(_ measure: WorkloadResult.Measure) -> String {
        let perSecond = measure.bytesPerSecond.map { ", \(ByteSize.display($0))/s" } ?? ""
        return "\(measure.transfers) blocks (\(ByteSize.display(measure.bytes)))\(perSecond)"
    }

    private func table(of mismatches: ArraySlice<Mismatch>) -> Table {
        var table = Table(
            .number("OFFSET"), .number("LENGTH"), .text("KIND"), .text("EXPECTED"), .text("GOT"))
        for mismatch in mismatches {
            table.add(
                "\(mismatch.offset)", "\(mismatch.length)", mismatch.kind.rawValue,
                mismatch.expected, mismatch.got)
        }
        return table
    }
}
