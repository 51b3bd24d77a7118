// SPDX-License-Identifier: GPL-2.0

import Glibc

/// The ratios as a picture: a row for each line, a mark for each peer, and what is wanted of it.
struct BenchPlot {
    struct Mark {
        let other: String
        let ratio: BenchSpread
        let wanted: Double
    }

    struct Bar {
        let group: String
        let name: String
        let marks: [Mark]
    }

    let bars: [Bar]

    private static let width = 940.0
    private static let left = 210.0
    private static let right = 30.0
    private static let top = 74.0
    private static let rowHeight = 15.0
    private static let headHeight = 26.0
    private static let colours = ["brd": "#0b6e99", "nd_pmem": "#c2571a"]

    /// Ratios are shown on a logarithmic scale, on which half and double are equally far from 1.
    private var range: ClosedRange<Double> {
        let all = bars.flatMap(\.marks).flatMap { [$0.ratio.low, $0.ratio.high] }
            .filter { $0.isFinite && $0 > 0 }
        let low = min(0.8, all.min() ?? 0.8), high = max(2, all.max() ?? 2)
        return max(low, 0.2) * 0.95...min(high, 12) * 1.05
    }

    /// What lies beyond the scale is shown at its end.
    private func x(_ ratio: Double) -> Double {
        let ratio = min(max(ratio, range.lowerBound), range.upperBound)
        let part = log(ratio / range.lowerBound) / log(range.upperBound / range.lowerBound)
        return Self.left + part * (Self.width - Self.left - Self.right)
    }

    private var groups: [String] {
        bars.reduce(into: []) { if $0.last != $1.group { $0.append($1.group) } }
    }

    private var height: Double {
        Self.top + Double(bars.count) * Self.rowHeight + Double(groups.count) * Self.headHeight + 40
    }

    /// The picture, with its own background, since pages may be dark.
    var svg: String {
        let end = height - 34
        var parts = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(n(Self.width)) \(n(height))" \
            font-family="system-ui, sans-serif" font-size="11" fill="#222">
            <rect width="100%" height="100%" fill="#fff"/>
            <text x="16" y="24" font-size="16" font-weight="600">Speed of iopmem by the speed of its peers</text>
            <text x="16" y="42" fill="#555">median and middle half of the rounds; right of its line each mark is \
            as fast as wanted</text>
            """
        ]
        for (index, name) in ["brd", "nd_pmem"].enumerated() {
            let place = 620 + Double(index) * 140
            parts.append(dot(place, 20, name, holds: true))
            parts.append("<text x=\"\(n(place + 9))\" y=\"24\">by \(name)</text>")
        }
        parts.append(
            "<text x=\"611\" y=\"42\" fill=\"#555\">hollow: less than wanted; ticks: wanted of nd_pmem</text>"
        )
        for tick in ticks {
            parts.append(
                """
                <line x1="\(n(x(tick)))" x2="\(n(x(tick)))" y1="\(n(Self.top - 12))" y2="\(n(end))" \
                stroke="\(tick == 1 ? "#0b6e99" : "#e4e4e4")" stroke-width="\(tick == 1 ? "1.2" : "1")"/>
                <text x="\(n(x(tick)))" y="\(n(end + 16))" text-anchor="middle">\(BenchNumber.text(tick, tick < 1 ? 2 : tick == tick.rounded() ? 0 : 1))×</text>
                """)
        }
        var y = Self.top
        var group = ""
        for bar in bars {
            if bar.group != group {
                group = bar.group
                y += Self.headHeight
                parts.append(
                    "<text x=\"16\" y=\"\(n(y - 8))\" font-weight=\"600\">\(bar.group)</text>")
            }
            parts.append(
                "<text x=\"\(n(Self.left - 14))\" y=\"\(n(y + 8))\" text-anchor=\"end\">\(bar.name)</text>"
            )
            for (index, mark) in bar.marks.enumerated() {
                parts.append(draw(mark, at: y + 2 + Double(index) * 5))
            }
            y += Self.rowHeight
        }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }

    private var ticks: [Double] {
        [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16].filter { range.contains($0) }
    }

    private func draw(_ mark: Mark, at y: Double) -> String {
        guard mark.ratio.median.isFinite, mark.ratio.low > 0 else { return "" }
        let colour = Self.colours[mark.other] ?? "#444"
        var parts: [String] = []
        if mark.other != "brd" {
            parts.append(
                """
                <line x1="\(n(x(mark.wanted)))" x2="\(n(x(mark.wanted)))" y1="\(n(y - 5))" y2="\(n(y + 5))" \
                stroke="\(colour)" stroke-width="1.2"/>
                """)
        }
        parts.append(
            """
            <line x1="\(n(x(mark.ratio.low)))" x2="\(n(x(mark.ratio.high)))" y1="\(n(y))" y2="\(n(y))" \
            stroke="\(colour)" stroke-width="2" stroke-opacity="0.45"/>
            """)
        let holds = (mark.ratio.median * 100).rounded() / 100 >= mark.wanted
        parts.append(dot(x(mark.ratio.median), y, mark.other, holds: holds))
        return parts.joined(separator: "\n")
    }

    private func dot(_ x: Double, _ y: Double, _ other: String, holds: Bool) -> String {
        let colour = Self.colours[other] ?? "#444"
        return """
            <circle cx="\(n(x))" cy="\(n(y))" r="3.4" fill="\(holds ? colour : "#fff")" stroke="\(colour)" \
            stroke-width="1.4"/>
            """
    }

    private func n(_ value: Double) -> String { BenchNumber.text(value, 1) }
}
