// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// The report as one page for a browser, which needs nothing else: no script, no font, no network.
public struct VerifyPage {
    /// More wrong places than these a person does not read.
    private static let rows = 100

    let report: VerifyReport

    /// The page of a report.
    public init(_ report: VerifyReport) { self.report = report }

    /// All of it.
    public var html: String {
        let title = "iopmemctl verify \(report.target): \(report.result.rawValue)"
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(Markup.escaped(title))</title>
            <style>\(Self.style)</style>
            </head>
            <body>
            \(verdict)\(section("Data path", PathPicture(report).svg + ways))\(regions)\(wrong)\(plots)\(jobs)
            </body>
            </html>

            """
    }

    private func section(_ title: String, _ body: String) -> String {
        body.isEmpty ? "" : "<section><h2>\(Markup.escaped(title))</h2>\n\(body)</section>\n"
    }

    // MARK: The verdict

    private var verdict: String {
        let total = report.workload
        let isPass = report.result == .pass
        var text =
            "<header class=\"\(report.result.rawValue)\"><h1>\(isPass ? "PASS" : "FAIL")</h1>\n"
        text += "<p class=\"target\">\(Markup.escaped(report.target))</p></header>\n"
        for failure in report.failures {
            let remedy = failure.remedy.map { "<br>\(Markup.escaped($0))" } ?? ""
            text += "<p class=\"failure\">\(Markup.escaped(failure.message))\(remedy)</p>\n"
        }
        for warning in report.warnings {
            text += "<p class=\"warning\">\(Markup.escaped(warning))</p>\n"
        }
        var facts: [(String, String)] = []
        if let total {
            facts.append(("verified", "\(total.blocksVerified)"))
            facts.append(("wrong", "\(total.blocksBad)"))
            facts.append(("written", ByteSize.display(total.bytesWritten)))
            facts.append(("compared", ByteSize.display(total.bytesVerified)))
            for (name, measure) in [("write", total.write), ("read", total.read)] {
                guard let rate = measure.bytesPerSecond else { continue }
                facts.append((name, "\(ByteSize.display(rate))/s"))
            }
        }
        if let seconds = report.processorSecondsPerGiB {
            facts.append(("CPU for a GiB", "\(Markup.short(seconds)) s"))
        }
        text += "<div class=\"facts\">"
        for (name, value) in facts {
            text += "<div><b>\(Markup.escaped(value))</b><span>\(name)</span></div>"
        }
        return text + "</div>\n" + promises
    }

    private var promises: String {
        guard let promises = report.promises else { return "" }
        return section(
            "Promises",
            Markup.table(
                ["", "blocks"],
                [
                    ["promised", "\(promises.promised)"], ["kept", "\(promises.kept)"],
                    ["broken", "\(promises.broken)"],
                    ["being written when it was interrupted", "\(promises.window)"],
                    ["of these new", "\(promises.windowNew)"],
                    ["of these as before", "\(promises.windowOld)"],
                    ["of these torn", "\(promises.windowTorn)"],
                    ["not begun", "\(promises.unpromised)"],
                ]))
    }

    // MARK: Where

    private var ways: String {
        let rows = report.p2p.filter { $0.direction == .peerToBAR }.compactMap { peer in
            peer.topology.map { pair in
                [
                    peer.peer, pair.verdict.rawValue, pair.iommu.rawValue,
                    pair.path.map(\.description).joined(separator: " → "), pair.reason,
                ]
            }
        }
        guard !rows.isEmpty else { return "" }
        return Markup.table(["peer", "topology", "IOMMU", "path", "why"], rows)
    }

    private var regions: String {
        let targets = report.paths.map(\.target)
        return targets.map { target in
            let maps = report.jobs.filter { $0.target == target }.map(\.result.map)
            guard var map = maps.first else { return "" }
            for other in maps.dropFirst() { map.merge(other) }
            return section("Regions of \(target)", picture(of: map))
        }.joined()
    }

    private func picture(of map: RegionMap) -> String {
        let columns = 64
        let side = 11.0
        let rows = (map.cells.count + columns - 1) / columns
        var svg = "<svg viewBox=\"0 0 720 \(rows * Int(side) + 26)\" role=\"img\">\n"
        var counts = (right: 0, wrong: 0, unseen: 0)
        for (index, cell) in map.cells.enumerated() {
            let start = map.offset + UInt64(index) * map.width
            let style: String
            if cell.wrong > 0 {
                style = "bad"
                counts.wrong += 1
            } else if cell.right > 0 {
                style = "right"
                counts.right += 1
            } else {
                style = "unseen"
                counts.unseen += 1
            }
            svg += Markup.box(
                Double(index % columns) * side, Double(index / columns) * side, side - 1, side - 1,
                style: style,
                title: "\(start)..<\(start + map.width): \(cell.right) right, \(cell.wrong) wrong")
        }
        var x = 0.0
        let y = Double(rows) * side + 8
        for (style, words) in [
            ("right", "right: \(counts.right)"), ("bad", "wrong: \(counts.wrong)"),
            ("unseen", "not looked at: \(counts.unseen)"),
        ] {
            svg += Markup.box(x, y, 10, 10, style: style)
            svg += Markup.text(x + 15, y + 9, words)
            x += 40 + Double(words.count) * 7
        }
        svg += Markup.text(
            703, y + 9, "each \(ByteSize.display(map.width)), from offset \(map.offset)",
            anchor: "end")
        return svg + "</svg>\n"
    }

    private var wrong: String {
        let mismatches = report.workload?.mismatches ?? []
        guard !mismatches.isEmpty else { return "" }
        let shown = mismatches.prefix(Self.rows).map { mismatch in
            [
                "\(mismatch.offset)", "\(mismatch.length)", mismatch.kind.rawValue,
                mismatch.expected, mismatch.got,
            ]
        }
        let rest =
            mismatches.count > Self.rows
            ? "<p>… and \(mismatches.count - Self.rows) more: -o json has them</p>\n" : ""
        return section(
            "What was wrong",
            Markup.table(["offset", "length", "kind", "expected", "got"], shown, style: "code")
                + rest)
    }

    // MARK: How fast

    private var plots: String {
        guard let total = report.workload else { return "" }
        let measures = [("write", "a", total.write), ("read and verify", "b", total.read)]
            .filter { $0.2.transfers > 0 }
        return section("Throughput over time", course(measures))
            + section("Latency percentiles", percentiles(measures))
            + section("Latency distribution", distribution(measures))
    }

    private typealias Named = (String, String, WorkloadResult.Measure)

    private func course(_ measures: [Named]) -> String {
        let curves = measures.map { name, style, measure in
            let width = Double(measure.course.width) / 1e9
            return Plot.Curve(
                name: name, style: style,
                points: measure.course.rates.enumerated().map { index, rate in
                    ((Double(index) + 0.5) * width, rate / Double(1 << 20))
                })
        }
        let end = curves.flatMap(\.points).map(\.x).max() ?? 0
        guard end > 0 else { return "" }
        return Plot(
            curves: curves,
            marks: (0...4).map { part in
                let time = end * Double(part) / 4
                return (time, Markup.time(time * 1e9))
            },
            xTitle: "time since the beginning", height: { "\(Markup.short($0)) MiB/s" }
        ).svg
    }

    private func percentiles(_ measures: [Named]) -> String {
        // Each further nine takes the same room.
        let places = [50.0, 75, 90, 95, 99, 99.5, 99.9, 99.99, 99.999, 100]
        let curves = measures.map { name, style, measure in
            Plot.Curve(
                name: name, style: style,
                points: places.enumerated().map { index, percent in
                    (Double(index), Double(measure.latency.percentile(percent)))
                })
        }
        guard !curves.isEmpty else { return "" }
        return Plot(
            curves: curves,
            marks: places.enumerated().map {
                (Double($0), $1 == 100 ? "max" : "\(Self.percent($1))")
            },
            xTitle: "percent of I/Os that took no longer", height: { Markup.time($0) },
            isLogarithmic: true
        ).svg
    }

    private static func percent(_ value: Double) -> String {
        value == value.rounded() ? "\(Int(value))" : "\(value)"
    }

    private func distribution(_ measures: [Named]) -> String {
        // Ten columns for each tenfold.
        let curves = measures.map { name, style, measure in
            var columns: [Int: UInt64] = [:]
            for bucket in measure.latency.buckets {
                let place = Int(Plot.logarithm(Double(max(bucket.nanoseconds, 1))) * 20)
                columns[place, default: 0] += bucket.count
            }
            return Plot.Curve(
                name: name, style: style,
                points: columns.sorted { $0.key < $1.key }.map { (Double($0) / 20, Double($1)) })
        }
        let places = curves.flatMap(\.points).map(\.x)
        guard let low = places.min(), let high = places.max() else { return "" }
        let decades = Int(low.rounded(.down))...max(Int(high.rounded(.up)), Int(low) + 1)
        return Plot(
            curves: curves,
            marks: decades.map { (Double($0), Markup.time(Plot.power(Double($0)))) },
            xTitle: "time of an I/O", height: { "\(Int($0))" }, isLogarithmic: true, isFilled: true
        ).svg
    }

    // MARK: What was done

    private var jobs: String {
        let rows = report.jobs.map { job in
            let read = job.result.read
            let write = job.result.write
            func rate(_ measure: WorkloadResult.Measure) -> String {
                measure.bytesPerSecond.map { "\(ByteSize.display($0))/s" } ?? "–"
            }
            func times(_ measure: WorkloadResult.Measure) -> String {
                guard measure.transfers > 0 else { return "–" }
                return [50.0, 99].map { Markup.time(Double(measure.latency.percentile($0))) }
                    .joined(separator: " / ")
            }
            let options = job.options
            return [
                job.count > 1 ? "\(job.name) × \(job.count)" : job.name, job.target,
                "\(options.pattern.rawValue)\(options.verifyOnly ? ", verify only" : ""), \(options.sizes), "
                    + "\(options.engine.rawValue) × \(options.depth)"
                    + (options.direct ? ", O_DIRECT" : ""),
                (options.format.method ?? BlockFormat.defaultMethod).rawValue,
                "\(job.result.blocksVerified)", "\(job.result.blocksBad)",
                rate(write), times(write), rate(read), times(read),
            ]
        }
        guard !rows.isEmpty else { return "" }
        return section(
            "Jobs",
            Markup.table(
                [
                    "job", "target", "workload", "verify", "right", "wrong", "write", "p50 / p99",
                    "read", "p50 / p99",
                ], rows))
    }

    // MARK: How it looks

    private static let style = """
        :root{--ink:#1d2530;--dim:#66707c;--line:#d9dee4;--back:#fff;--card:#f5f7f9;--a:#1f6feb;
        --b:#e07b00;--good:#1a7f4b;--bad:#c62828}
        @media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--dim:#97a1ad;--line:#333c47;
        --back:#14181d;--card:#1c2229;--a:#5aa2ff;--b:#ffae4d;--good:#45b97c;--bad:#ff6b6b}}
        body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);
        max-width:960px;margin:2rem auto;padding:0 1rem}
        header{display:flex;align-items:baseline;gap:1rem;border-left:8px solid;padding-left:1rem}
        header.pass{border-color:var(--good)}header.fail{border-color:var(--bad)}
        header.pass h1{color:var(--good)}header.fail h1{color:var(--bad)}
        h1{margin:0;font-size:2rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
        .target{font-family:ui-monospace,monospace;margin:0;word-break:break-all}
        .failure{border-left:3px solid var(--bad);padding-left:.7rem}
        .warning{border-left:3px solid var(--b);padding-left:.7rem}
        .facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
        .facts div{background:var(--card);border-radius:8px;padding:.5rem .9rem}
        .facts b{display:block;font-size:1.15rem}.facts span{color:var(--dim);font-size:.85rem}
        .wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem}
        th{text-align:left;color:var(--dim);font-weight:500}
        td,th{padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
        .code td{font-family:ui-monospace,monospace;font-size:.8rem}
        svg{width:100%;height:auto;display:block}
        .label{font:11px system-ui,sans-serif;fill:var(--dim)}
        .name{font:600 13px system-ui,sans-serif;fill:var(--ink)}
        .grid{stroke:var(--line);stroke-width:1}
        .line-a,.line-b{fill:none;stroke-width:1.8;stroke-linejoin:round}
        .line-a{stroke:var(--a)}.line-b{stroke:var(--b)}
        .fill-a{fill:var(--a)}.fill-b{fill:var(--b)}.fill-a,.fill-b{fill-opacity:.75}
        .right{fill:var(--good)}.bad{fill:var(--bad)}.unseen{fill:var(--line)}
        .node{fill:var(--card);stroke:var(--line)}
        .way{stroke:var(--good);stroke-width:2.2;fill:none}
        .broken{stroke:var(--bad);stroke-width:2.2;stroke-dasharray:5 4;fill:none}
        .unknown{stroke:var(--dim);stroke-width:1.6;stroke-dasharray:2 4;fill:none}

        """
}
