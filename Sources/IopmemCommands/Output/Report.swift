// SPDX-License-Identifier: GPL-2.0

/// The result of a command: the one value from which both the table and the
/// JSON object are made, so that they cannot drift apart.
///
/// Its `encode(to:)` makes the keys beside `"schema"`; see `JSON`.
public protocol Report: Encodable {
    /// What a person gets, in order. Never empty: an empty list is a sentence.
    var sections: [ReportSection] { get }
}

/// A result that can be drawn.
protocol GraphReport: Report {
    /// In Graphviz's language.
    var graph: String { get }
}

/// One of many results that come one after the other: a line each.
protocol LineReport: Encodable {
    /// What a person gets.
    var line: String { get }
}

/// A part of a report for people.
public enum ReportSection: Sendable, Equatable {
    /// Lines as they are.
    case text(String)
    /// Columns.
    case table(Table)

    func rendered(styled: Bool) -> String {
        switch self {
        case .text(let text): text
        case .table(let table): table.rendered(styled: styled)
        }
    }
}
