// SPDX-License-Identifier: GPL-2.0

import FoundationEssentials
import Synchronization

/// The running system in a machine: commands go in, their exit status and outputs come back.
public final class Guest: Sendable {
    /// What a command left behind.
    public struct Outcome: Sendable {
        /// Its exit status; 128 + N when signal N ended it.
        public let status: Int
        /// The bytes of its standard output.
        public let outputBytes: [UInt8]
        /// The bytes of its standard error.
        public let errorBytes: [UInt8]

        /// Standard output as text, without the last newline.
        public var output: String { Self.text(outputBytes) }
        /// Standard error as text, without the last newline.
        public var errors: String { Self.text(errorBytes) }

        private static func text(_ bytes: [UInt8]) -> String {
            let text = String(decoding: bytes, as: UTF8.self)
            return text.hasSuffix("\n") ? String(text.dropLast()) : text
        }

        /// Standard output, decoded from JSON.
        public func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
            try decoded(outputBytes)
        }

        /// Standard output with one JSON object a line.
        public func jsonLines<Value: Decodable>(_ type: Value.Type = Value.self) throws -> [Value] {
            try outputBytes.split(separator: UInt8(ascii: "\n")).map { try decoded(Array($0)) }
        }

        private func decoded<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
            do {
                return try JSONDecoder().decode(Value.self, from: Data(bytes))
            } catch {
                throw LabError("the output is not the expected JSON: \(error)", evidence: output)
            }
        }
    }

    /// The shell command for what the kernel logged. The agent notes each command in the
    /// log, where a search for some words would find itself.
    public static let kernelLog = "dmesg | grep -v 'iopmem-lab: '"

    /// What `uname -r` says in there.
    public let release: String
    /// How many times longer its commands may take; see ``Kernel/slowness``.
    private let slowness: Int
    private let stream: ByteStream
    private let state = Mutex(State())

    private struct State {
        var nextID = 1
        var waiting: [Int: CheckedContinuation<Outcome, any Error>] = [:]
        var hasHungUp = false
    }

    /// Waits for the agent's greeting; nil when the machine ended before it came.
    static func greet(_ stream: ByteStream, slowness: Int) async throws -> Guest? {
        let line = try await onThread { stream.line() }
        guard let line, line.hasPrefix("ready ") else { return nil }
        return Guest(
            stream, release: String(line.dropFirst("ready ".count)), slowness: slowness)
    }

    private init(_ stream: ByteStream, release: String, slowness: Int) {
        self.stream = stream
        self.release = release
        self.slowness = slowness
        detach { [self] in
            while let answer = Self.answer(from: stream) {
                state.withLock { $0.waiting.removeValue(forKey: answer.id) }?
                    .resume(returning: answer.outcome)
            }
            let abandoned = state.withLock { state in
                state.hasHungUp = true
                defer { state.waiting = [:] }
                return state.waiting.values
            }
            for continuation in abandoned {
                continuation.resume(throwing: LabError("the machine went down during a command"))
            }
        }
    }

    private static func answer(from stream: ByteStream) -> (id: Int, outcome: Outcome)? {
        guard let line = stream.line() else { return nil }
        let fields = line.split(separator: " ").compactMap { Int($0) }
        guard fields.count == 4, let output = stream.bytes(fields[2]),
            let errors = stream.bytes(fields[3])
        else { return nil }
        return (
            fields[0], Outcome(status: fields[1], outputBytes: output, errorBytes: errors)
        )
    }

    /// Runs a bash script as root and returns what it left, which must have this exit status.
    ///
    /// The script ends with the first command that fails. Bash makes an exception of `! command`,
    /// which so judges only at a script's end.
    ///
    /// - Parameters:
    ///   - status: The exit status that is wanted; nil for any.
    ///   - seconds: When the guest kills it, and its status becomes 124; more in a slow kernel.
    @discardableResult
    public func run(_ script: String, status: Int? = 0, within seconds: Int = 120) async throws
        -> Outcome
    {
        let seconds = seconds * slowness
        let outcome = try await answer(to: script, within: seconds)
        if outcome.status == 124, status != nil, status != 124 {
            throw LabError(
                "in the guest, this did not end within \(seconds) s: \(script)",
                evidence: outcome.output + "\n" + outcome.errors)
        }
        if let status, outcome.status != status {
            throw LabError(
                "in the guest, this exited with \(outcome.status) instead of \(status): \(script)",
                evidence: outcome.output + "\n" + outcome.errors)
        }
        return outcome
    }

    private func answer(to script: String, within seconds: Int) async throws -> Outcome {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        // The guest keeps the deadline; this one is for a guest that cannot.
        let alarm = Task {
            try await Task.sleep(for: .seconds(seconds + 30))
            let waiting = state.withLock { $0.waiting.removeValue(forKey: id) }
            waiting?.resume(
                throwing: LabError(
                    "the guest gave no answer within \(seconds + 30) s to: \(script)"))
        }
        defer { alarm.cancel() }
        return try await withCheckedThrowingContinuation { continuation in
            let isGone = state.withLock { state in
                if !state.hasHungUp { state.waiting[id] = continuation }
                return state.hasHungUp
            }
            if isGone {
                continuation.resume(
                    throwing: LabError("the machine is down; it cannot run: \(script)"))
                return
            }
            do {
                try stream.write("\(id) \(seconds) \(script.utf8.count)\n\(script)")
            } catch {
                state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: error)
            }
        }
    }

    /// Hangs up, upon which the guest powers off.
    func hangUp() {
        stream.close()
    }
}
