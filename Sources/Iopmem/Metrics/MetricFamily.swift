// SPDX-License-Identifier: GPL-2.0

/// One metric with all its values, as Prometheus understands it.
public struct MetricFamily: Sendable {
    /// How values behave over time.
    public enum Kind: String, Sendable {
        /// They only grow, from the making of the object on.
        case counter
        /// They go up and down.
        case gauge
    }

    /// One value.
    public struct Sample: Sendable {
        /// What it belongs to, in order.
        public var labels: [(name: String, value: String)]
        /// The number, as it is written.
        public var value: String
    }

    /// Its name, with its unit, and `_total` for a counter.
    public let name: String
    /// How its values behave.
    public let kind: Kind
    /// What it is, for people.
    public let help: String
    /// Its values, in the order of the objects.
    public private(set) var samples: [Sample] = []

    /// A metric without values.
    init(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }

    mutating func add(_ value: some BinaryInteger, _ labels: [(name: String, value: String)] = []) {
        samples.append(Sample(labels: labels, value: String(value)))
    }

    /// Milliseconds, as seconds.
    mutating func add(milliseconds: UInt64, _ labels: [(name: String, value: String)]) {
        let rest = String(milliseconds % 1000)
        let decimals = String(repeating: "0", count: 3 - rest.count) + rest
        samples.append(Sample(labels: labels, value: "\(milliseconds / 1000).\(decimals)"))
    }

    /// The metric in the text format, version 0.0.4
    /// (prometheus.io/docs/instrumenting/exposition_formats); nothing if it has
    /// no values.
    public var exposition: String {
        guard !samples.isEmpty else { return "" }
        var lines = ["# HELP \(name) \(Self.escaped(help))", "# TYPE \(name) \(kind.rawValue)"]
        for sample in samples {
            let labels = sample.labels.map { label in
                "\(label.name)=\"\(Self.escaped(label.value, quotes: true))\""
            }
            let list = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
            lines.append("\(name)\(list) \(sample.value)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
