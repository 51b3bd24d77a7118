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
        if let dax = verify.dax { table.add("DAX", dax ? "in effect" : "not in effect") }
        if let placement = verify.placement {
            table.add(
                "pages",
                "\(placement.pagesInBar) of \(placement.pagesChecked) in the BAR, "
                    + "\(placement.pagesAsMapped) where the file system says")
        } else if let reason = verify.placementReason {
            table.add("pages", "nothing said: \(reason)")
        }
        for peer in verify.p2p {
            let way =
                peer.direction == .peerToBAR ? "\(peer.peer) -> BAR" : "BAR -> \(peer.peer)"
            table.add(
                way,
                "\(peer.result.rawValue), \(ByteSize.display(peer.bytes)): \(peer.evidence)")
        }
        return table
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
