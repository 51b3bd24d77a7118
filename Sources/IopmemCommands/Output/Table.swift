// SPDX-License-Identifier: GPL-2.0

/// Rows in aligned columns, under headings.
public struct Table: Sendable, Equatable {
    /// A column's heading and which side its cells stand on.
    public struct Column: Sendable, Equatable {
        let heading: String
        let isNumeric: Bool

        /// A column of words, on the left.
        public static func text(_ heading: String) -> Column {
            Column(heading: heading, isNumeric: false)
        }

        /// A column of numbers, on the right.
        public static func number(_ heading: String) -> Column {
            Column(heading: heading, isNumeric: true)
        }
    }

    /// From left to right.
    public var columns: [Column]
    /// Cells; a row has as many as there are columns.
    public var rows: [[String]] = []

    /// A table without rows.
    public init(_ columns: Column...) {
        self.columns = columns
    }

    /// Adds a row; an empty cell is shown as a dash.
    public mutating func add(_ cells: String...) {
        precondition(cells.count == columns.count, "a row has as many cells as columns")
        rows.append(cells)
    }

    /// The table as text without a newline at its end; headings are bold if
    /// `styled`.
    public func rendered(styled: Bool = false) -> String {
        let headings = columns.map(\.heading)
        let cells = rows.map { $0.map { $0.isEmpty ? "-" : $0 } }
        let widths = columns.indices.map { index in
            ([headings] + cells).map { $0[index].count }.max() ?? 0
        }
        let lines = ([headings] + cells).map { line(of: $0, widths: widths) }
        guard styled, let first = lines.first else { return lines.joined(separator: "\n") }
        return (["\u{1b}[1m\(first)\u{1b}[0m"] + lines.dropFirst()).joined(separator: "\n")
    }

    private func line(of cells: [String], widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: widths[index] - cell.count)
            line += columns[index].isNumeric ? padding + cell : cell + padding
            line += index == cells.count - 1 ? "" : "  "
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}
