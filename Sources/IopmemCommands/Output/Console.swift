// SPDX-License-Identifier: GPL-2.0
public import Iopmem

/// Where a command's words go: results to stdout, talk to stderr.
///
/// Tests give closures of their own; nothing below writes to a descriptor.
public struct Console: Listener {
    /// The form of the result.
    public var format: OutputOptions.Format = .table
    /// Whether steps are told.
    public var isVerbose = false
    /// Whether warnings and notes are kept back.
    public var isQuiet = false
    /// Whether stdout is a terminal that takes bold type.
    public var isStyled = false

    private let writeResult: (String) throws(IopmemError) -> Void
    private let writeRawResult: ([UInt8]) throws(IopmemError) -> Void
    private let writeTalk: (String) -> Void
    private let ask: (String) throws(IopmemError) -> String?

    /// A console that writes through these; `ask` returns nil where nobody is
    /// there to answer.
    public init(
        writeResult: @escaping (String) throws(IopmemError) -> Void,
        writeTalk: @escaping (String) -> Void,
        writeRawResult: @escaping ([UInt8]) throws(IopmemError) -> Void = { _ in },
        ask: @escaping (String) throws(IopmemError) -> String? = { _ in nil }
    ) {
        self.writeResult = writeResult
        self.writeRawResult = writeRawResult
        self.writeTalk = writeTalk
        self.ask = ask
    }

    /// Prints a command's result in the form that was asked for.
    public func show(_ report: some Report) throws(IopmemError) {
        switch format {
        case .json:
            try writeResult(try JSON.text(of: report))
        case .dot:
            // Only commands whose results can be drawn are run with it.
            if let drawing = report as? any GraphReport { try print(drawing.graph) }
        case .table:
            let sections = report.sections.map { $0.rendered(styled: isStyled) }
            try writeResult(sections.joined(separator: "\n\n") + "\n")
        }
    }

    /// Prints one of many results, as one line in either form.
    func show(_ report: some LineReport) throws(IopmemError) {
        switch format {
        case .json: try writeResult(try JSON.line(of: report))
        case .table, .dot: try print(report.line)
        }
    }

    /// Prints text that is a result by itself: help, a version.
    func print(_ text: String) throws(IopmemError) {
        try writeResult(text + "\n")
    }

    /// Writes bytes that are a result by themselves: a dump.
    func write(_ bytes: [UInt8]) throws(IopmemError) {
        try writeRawResult(bytes)
    }

    /// Says what is wrong with a command line.
    func complain(_ text: String) {
        writeTalk(text + "\n")
    }

    /// A step of the work, told with -v.
    public func step(_ text: @autoclosure () -> String) {
        guard isVerbose else { return }
        writeTalk("\(text())\n")
    }

    /// What was done or is worth knowing, unless -q.
    public func note(_ text: String) {
        guard !isQuiet else { return }
        writeTalk("\(text)\n")
    }

    /// What may go wrong although the command succeeds, unless -q.
    public func warn(_ text: String) {
        guard !isQuiet else { return }
        writeTalk("warning: \(text)\n")
    }

    /// A line on the terminal that comes and goes, unless -q.
    public func follow(_ step: String, bytes: UInt64) -> StepProgress {
        let line = ProgressLine(isQuiet: isQuiet)
        return StepProgress(
            update: { line.show(step, done: $0, fraction: Double($0) / Double(max(bytes, 1))) },
            end: line.clear)
    }

    /// Reports a failure, also with -q; with `-o json` as an object.
    public func report(_ error: IopmemError) {
        switch format {
        case .json:
            writeTalk(JSON.text(of: error))
        case .table, .dot:
            writeTalk("iopmemctl: \(error.message)\n")
            if let remedy = error.remedy { writeTalk("  remedy: \(remedy)\n") }
        }
    }

    /// Asks on the terminal and returns the answer.
    ///
    /// Without a terminal it fails with `.confirmationRequired`.
    public func answer(to question: String) throws(IopmemError) -> String {
        guard let answer = try ask(question) else {
            throw IopmemError(
                .confirmationRequired,
                "a confirmation is needed, and there is no terminal to ask on",
                remedy: "add --yes to agree beforehand")
        }
        return answer
    }
}
