// SPDX-License-Identifier: GPL-2.0

/// Pieces of HTML and SVG.
enum Markup {
    /// Text that means nothing but itself.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }

    /// A coordinate with one decimal.
    static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        let sign = tenths < 0 ? "-" : ""
        let rest = abs(tenths)
        return rest % 10 == 0 ? "\(sign)\(rest / 10)" : "\(sign)\(rest / 10).\(rest % 10)"
    }

    /// A figure with three digits that count.
    static func short(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        if value >= 100 || value == value.rounded() { return "\(Int(value.rounded()))" }
        if value >= 10 { return number(value) }
        let hundredths = Int((value * 100).rounded())
        let digits = "\(hundredths % 100)"
        return "\(hundredths / 100)." + (digits.count < 2 ? "0" : "") + digits
    }

    /// Nanoseconds as people say them.
    static func time(_ nanoseconds: Double) -> String {
        for (unit, scale) in [("s", 1e9), ("ms", 1e6), ("µs", 1e3)] where nanoseconds >= scale {
            return "\(short(nanoseconds / scale)) \(unit)"
        }
        return "\(short(nanoseconds)) ns"
    }

    static func text(
        _ x: Double, _ y: Double, _ words: String, anchor: String = "start", style: String = "label"
    ) -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\" class=\"\(style)\">"
            + "\(escaped(words))</text>\n"
    }

    static func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, style: String
    ) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\""
            + " class=\"\(style)\"/>\n"
    }

    static func box(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, style: String,
        title: String? = nil, radius: Double = 0
    ) -> String {
        let hint = title.map { "<title>\(escaped($0))</title>" } ?? ""
        return "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\""
            + " height=\"\(number(height))\" rx=\"\(number(radius))\" class=\"\(style)\">\(hint)</rect>\n"
    }

    /// A table with a head.
    static func table(_ head: [String], _ rows: [[String]], style: String = "") -> String {
        func row(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\(escaped($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        return "<div class=\"wide\"><table class=\"\(style)\">\n"
            + (head.isEmpty ? "" : row(head, "th"))
            + rows.map { row($0, "td") }.joined() + "</table></div>\n"
    }
}

/// A plot of one or two curves over an axis, as SVG.
struct Plot {
    /// One curve.
    struct Curve {
        var name: String
        /// Which of the page's colours.
        var style: String
        var points: [(x: Double, y: Double)]
    }

    private static let width = 720.0
    private static let height = 240.0
    private static let left = 76.0
    private static let right = 16.0
    private static let top = 28.0
    private static let bottom = 40.0

    var curves: [Curve]
    /// What the horizontal axis has, at which of its places.
    var marks: [(x: Double, words: String)]
    var xTitle: String
    /// How a height is said.
    var height: (Double) -> String
    /// Whether each tenfold takes the same room.
    var isLogarithmic = false
    /// Whether the curves are columns.
    var isFilled = false

    /// The plot.
    var svg: String {
        var svg = "<svg viewBox=\"0 0 720 240\" role=\"img\">\n"
        svg += grid + axis + legend
        for curve in curves where !curve.points.isEmpty {
            let points = curve.points.map { (place($0.x), level($0.y)) }
            if isFilled {
                for (x, y) in points {
                    let base = Self.height - Self.bottom
                    svg += Markup.box(x - 2, y, 4, max(base - y, 0.5), style: "fill-\(curve.style)")
                }
                continue
            }
            let words = points.map { "\(Markup.number($0)),\(Markup.number($1))" }
            svg +=
                "<polyline points=\"\(words.joined(separator: " "))\" class=\"line-\(curve.style)\"/>\n"
            // A single point has no line.
            if points.count == 1, let (x, y) = points.first {
                svg +=
                    "<circle cx=\"\(Markup.number(x))\" cy=\"\(Markup.number(y))\" r=\"3\""
                    + " class=\"fill-\(curve.style)\"/>\n"
            }
        }
        return svg + "</svg>\n"
    }

    private var largest: Double { curves.flatMap(\.points).map(\.y).max() ?? 1 }
    private var smallest: Double { curves.flatMap(\.points).map(\.y).min() ?? 0 }
    private var span: ClosedRange<Double> {
        let places = marks.map(\.x) + curves.flatMap(\.points).map(\.x)
        let low = places.min() ?? 0
        return low...max(places.max() ?? 1, low + 1e-9)
    }

    private func place(_ x: Double) -> Double {
        let room = Self.width - Self.left - Self.right
        return Self.left + (x - span.lowerBound) / (span.upperBound - span.lowerBound) * room
    }

    /// The values that have a line across the plot, from the lowest to the highest.
    private var levels: [Double] {
        guard isLogarithmic else {
            let step = Self.roundStep(largest / 4)
            return (0...5).map { Double($0) * step }.filter { $0 <= largest + step * 0.99 }
        }
        let low = Self.logarithm(max(smallest, 1)).rounded(.down)
        let high = max(Self.logarithm(max(largest, 1)).rounded(.up), low + 1)
        return stride(from: low, through: high, by: 1).map { Self.power($0) }
    }

    /// 1, 2 or 5 times a power of ten, no less than asked for.
    private static func roundStep(_ step: Double) -> Double {
        guard step > 0 else { return 1 }
        let base = power(logarithm(step).rounded(.down))
        return [1, 2, 5, 10].map { $0 * base }.first { $0 >= step * 0.999 } ?? base * 10
    }

    private func level(_ y: Double) -> Double {
        let room = Self.height - Self.top - Self.bottom
        let low = levels.first ?? 0
        let high = levels.last ?? 1
        let part =
            isLogarithmic
            ? (Self.logarithm(max(y, low)) - Self.logarithm(low))
                / (Self.logarithm(high) - Self.logarithm(low))
            : (y - low) / max(high - low, 1e-9)
        return Self.height - Self.bottom - part * room
    }

    private var grid: String {
        levels.map { value in
            let y = level(value)
            return Markup.line(Self.left, y, Self.width - Self.right, y, style: "grid")
                + Markup.text(Self.left - 8, y + 4, height(value), anchor: "end")
        }.joined()
    }

    private var axis: String {
        let base = Self.height - Self.bottom
        let end = marks.last?.x
        return marks.map { mark in
            Markup.text(
                place(mark.x), base + 16, mark.words, anchor: mark.x == end ? "end" : "middle")
        }.joined()
            + Markup.text((Self.left + Self.width) / 2, Self.height - 6, xTitle, anchor: "middle")
    }

    private var legend: String {
        var x = Self.left
        var svg = ""
        for curve in curves where !curve.points.isEmpty {
            svg += Markup.box(x, 8, 10, 10, style: "fill-\(curve.style)", radius: 2)
            svg += Markup.text(x + 15, 17, curve.name)
            x += 40 + Double(curve.name.count) * 7
        }
        return svg
    }
}

extension Plot {
    /// To the base of ten.
    static func logarithm(_ value: Double) -> Double {
        // 2^k × m, with m in [1, 2): the significand's part is a series in (m-1)/(m+1).
        guard value > 0 else { return 0 }
        let mantissa = value.significand
        let z = (mantissa - 1) / (mantissa + 1)
        var term = z
        var sum = 0.0
        for index in stride(from: 1.0, through: 29, by: 2) {
            sum += term / index
            term *= z * z
        }
        let naturalOfTwo = 0.693_147_180_559_945_3
        return (Double(value.exponent) * naturalOfTwo + 2 * sum) / 2.302_585_092_994_045_7
    }

    /// Ten to a whole power.
    static func power(_ exponent: Double) -> Double {
        var result = 1.0
        for _ in 0..<Int(abs(exponent)) { result *= 10 }
        return exponent < 0 ? 1 / result : result
    }
}
