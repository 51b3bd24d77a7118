// SPDX-License-Identifier: GPL-2.0
import FoundationEssentials
import Iopmem

/// JSON as the public contract wants it: one object, `"schema": 1`, keys in a
/// fixed (alphabetical) order, a newline at the end.
enum JSON {
    static func text(of report: some Encodable) throws(IopmemError) -> String {
        try encoded(report, as: .prettyPrinted)
    }

    /// The same without line breaks inside.
    static func line(of report: some Encodable) throws(IopmemError) -> String {
        try encoded(report, as: [])
    }

    private static func encoded(
        _ report: some Encodable, as form: JSONEncoder.OutputFormatting
    ) throws(IopmemError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = form.union([.sortedKeys, .withoutEscapingSlashes])
        do {
            let data = try encoder.encode(Document(report: report))
            return String(decoding: data, as: UTF8.self) + "\n"
        } catch {
            throw IopmemError(.failed, "cannot write the result as JSON", because: "\(error)")
        }
    }

    static func text(of error: IopmemError) -> String {
        let report = ErrorReport(
            error: .init(code: error.code.rawValue, message: error.message, remedy: error.remedy))
        // Only strings: the encoder has no way to fail, but no way to say so.
        return (try? text(of: report)) ?? #"{"schema": 1, "error": {"code": "failed"}}"# + "\n"
    }

    /// Adds the version of the shape to a report's own keys.
    private struct Document<Content: Encodable>: Encodable {
        let report: Content

        enum Keys: String, CodingKey { case schema }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode(1, forKey: .schema)
            try report.encode(to: encoder)
        }
    }

    private struct ErrorReport: Encodable {
        struct Body: Encodable {
            let code: String
            let message: String
            let remedy: String?
        }
        let error: Body
    }
}
