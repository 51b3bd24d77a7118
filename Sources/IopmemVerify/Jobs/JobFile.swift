// SPDX-License-Identifier: GPL-2.0
import Glibc
public import Iopmem
import IopmemSystem
import SystemPackage

/// Reads fio's job files: sections of `option=value`, `[global]` for those that follow (fio's HOWTO,
/// "Job file format").
///
/// What this tool has not is refused with its line, never ignored.
public struct JobFile {
    private let name: String
    private let environment: (String) -> String?
    private var jobs: [JobSpec] = []
    private var common = JobSpec("global")
    private var current: JobSpec?
    private var isGlobal = false
    private var objections: [String] = []

    /// No job file is longer, in bytes.
    private static let limit = 1 << 20

    /// The jobs of a file, with the environment of this process.
    public static func jobs(ofFile path: String) throws(IopmemError) -> [JobSpec] {
        let text: String
        do throws(Errno) {
            let file = try OpenFile(path)
            guard try file.status().kind == .regular else { throw .invalidArgument }
            let buffer = AlignedBuffer(size: limit)
            let count = try file.read(into: buffer.bytes, at: 0)
            guard count < limit else { throw .fileTooLarge }
            text = String(decoding: buffer.bytes[..<count], as: UTF8.self)
        } catch {
            throw IopmemError(
                error, "cannot read the job file \(path)",
                remedy: error == .invalidArgument ? "name a regular file" : nil)
        }
        return try jobs(in: text, file: path) { name in
            getenv(name).map { String(cString: $0) }
        }
    }

    /// The jobs of a text; a usage error tells all of its mistakes.
    ///
    /// - Parameters:
    ///   - file: what the text is called in messages.
    ///   - environment: what `${NAME}` stands for.
    public static func jobs(
        in text: String, file: String, environment: @escaping (String) -> String? = { _ in nil }
    ) throws(IopmemError) -> [JobSpec] {
        var reader = JobFile(name: file, environment: environment)
        let lines = text.replacing("\r\n", with: "\n")
            .split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() { reader.read(line, number: index + 1) }
        reader.endSection()
        if reader.jobs.isEmpty && reader.objections.isEmpty {
            reader.objections = ["\(file): it has no job: a section such as [verify]"]
        }
        guard reader.objections.isEmpty else {
            throw IopmemError(.usage, reader.objections.joined(separator: "\n"))
        }
        return reader.jobs
    }

    private init(name: String, environment: @escaping (String) -> String?) {
        self.name = name
        self.environment = environment
    }

    private mutating func endSection() {
        if let current { jobs.append(current) }
        current = nil
    }

    private mutating func object(_ line: Int, _ reason: String) {
        objections.append("\(name):\(line): \(reason)")
    }

    private mutating func read(_ line: Substring, number: Int) {
        let text = line.trimmed
        guard let first = text.first, first != "#", first != ";" else { return }
        guard first == "[" else { return set(text, number) }
        guard let end = text.firstIndex(of: "]"), end > text.index(after: text.startIndex) else {
            return object(number, "\(text) is no section: [NAME]")
        }
        endSection()
        let title = String(text[text.index(after: text.startIndex)..<end])
        isGlobal = title == "global"
        guard !isGlobal else { return }
        var job = common
        job.name = title
        job.place = "\(name):\(number)"
        current = job
    }

    private mutating func set(_ text: Substring, _ line: Int) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let key = String(parts[0].trimmed)
        guard isGlobal || current != nil else {
            return object(line, "\(key) stands before any section")
        }
        do {
            let value = try parts.count > 1 ? expanded(String(parts[1].trimmed)) : nil
            if isGlobal {
                try JobOptions.set(key, value, in: &common)
            } else if var job = current {
                try JobOptions.set(key, value, in: &job)
                current = job
            }
        } catch let refusal as FioValue.Refusal {
            object(line, refusal.reason)
        } catch {
            object(line, "\(error)")
        }
    }

    /// `${NAME}` is what the environment says.
    private func expanded(_ value: String) throws(FioValue.Refusal) -> String {
        var result = ""
        var rest = Substring(value)
        while let start = rest.firstRange(of: "${") {
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw FioValue.Refusal("\(value): ${ has no }")
            }
            let name = String(rest[start.upperBound..<end])
            guard let text = environment(name) else {
                throw FioValue.Refusal("\(name) is not set in the environment")
            }
            result += rest[..<start.lowerBound] + text
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}

extension Substring {
    /// Without white space around it.
    fileprivate var trimmed: Substring {
        var rest = self
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return rest
    }
}
