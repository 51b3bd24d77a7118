// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// Which way the data went, drawn: who moved it, over what, into which memory, and what proves it.
struct PathPicture {
    private let report: VerifyReport

    init(_ report: VerifyReport) { self.report = report }

    private static let height = 54.0
    private static let gap = 26.0

    /// One line of the picture: from somebody, over a way, to the memory.
    private struct Way {
        var from: (name: String, what: String)
        var over: String
        var proof: String
        var to: (name: String, what: String)
        /// Which of the page's strokes.
        var style: String
        /// Which ways the data went: to the memory, and from it.
        var isIn = true
        var isOut = true
    }

    private var ways: [Way] {
        var ways = report.paths.map(way)
        ways += report.p2p.map { peer in
            let isIn = peer.direction == .peerToBAR
            let memory = memory(of: report.paths.first)
            return Way(
                from: (peer.peer, isIn ? "reads its own data" : "is written"),
                over: isIn ? "DMA: O_DIRECT into the mapping" : "DMA: O_DIRECT from the mapping",
                proof: peer.result == .pass
                    ? "\(ByteSize.display(peer.bytes)), the pages' frames are in the BAR"
                    : "not proven",
                to: memory, style: peer.result == .pass ? "way" : "broken", isIn: isIn, isOut: !isIn
            )
        }
        return ways
    }

    private func way(_ path: VerifyReport.Path) -> Way {
        let options = report.jobs.first { $0.target == path.target }?.options
        let engine = options?.engine ?? .psync
        let means: String =
            switch engine {
            case .mmap: "loads and stores in a mapping"
            case .psync: "pread, pwrite" + (options?.direct == true ? ", O_DIRECT" : "")
            case .ioUring: "io_uring" + (options?.direct == true ? ", O_DIRECT" : "")
            }
        let proof: String
        let style: String
        if let placement = path.placement {
            proof = "\(placement.pagesInBar) of \(placement.pagesChecked) pages are in the BAR"
            style = placement.isDirect ? "way" : "broken"
        } else if path.dax == false {
            proof = "DAX is not in effect: the page cache is in between"
            style = "broken"
        } else {
            proof = "nothing is said about page frames"
            style = "unknown"
        }
        return Way(
            from: ("CPU", "this program"), over: means, proof: proof, to: memory(of: path),
            style: style)
    }

    private func memory(of path: VerifyReport.Path?) -> (name: String, what: String) {
        guard let path else { return ("memory", "") }
        guard let device = path.device else { return (path.target, "no namespace of iopmem") }
        let link = path.linkBandwidth.map { ", link \(ByteSize.display($0))/s" } ?? ""
        return ("BAR of \(device)", path.target + link)
    }

    /// The picture.
    var svg: String {
        let ways = ways
        let total = Double(ways.count) * (Self.height + Self.gap)
        var svg = "<svg viewBox=\"0 0 720 \(Int(total))\" role=\"img\">\n"
        svg +=
            "<defs><marker id=\"tip\" markerWidth=\"7\" markerHeight=\"7\" refX=\"6\" refY=\"3.5\""
        svg +=
            " orient=\"auto-start-reverse\"><path d=\"M0,0 L7,3.5 L0,7 z\" fill=\"context-stroke\"/>"
        svg += "</marker></defs>\n"
        for (index, way) in ways.enumerated() {
            let y = Double(index) * (Self.height + Self.gap) + 4
            let middle = y + Self.height / 2
            svg += node(0, y, 190, way.from) + node(490, y, 229, way.to)
            svg += "<line x1=\"198\" y1=\"\(Markup.number(middle))\" x2=\"482\""
            svg += " y2=\"\(Markup.number(middle))\" class=\"\(way.style)\""
            if way.isOut { svg += " marker-start=\"url(#tip)\"" }
            svg += (way.isIn ? " marker-end=\"url(#tip)\"" : "") + "/>\n"
            svg += Markup.text(340, middle - 9, way.over, anchor: "middle")
            svg += Markup.text(340, middle + 19, way.proof, anchor: "middle")
        }
        return svg + "</svg>\n"
    }

    private func node(
        _ x: Double, _ y: Double, _ width: Double, _ words: (name: String, what: String)
    ) -> String {
        let room = Int(width / 7) - 2
        func cut(_ text: String) -> String {
            text.count > room ? "…" + text.suffix(room - 1) : text
        }
        return Markup.box(x, y, width, Self.height, style: "node", radius: 8)
            + Markup.text(x + 12, y + 22, cut(words.name), style: "name")
            + Markup.text(x + 12, y + 41, cut(words.what))
    }
}
