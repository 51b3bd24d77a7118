// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// Several targets of one command: all are attempted, each failure is reported,
/// and the exit status says whether all, some or none were done.
struct Batch {
    private var failures: [IopmemError] = []
    private var successes = 0
    private var interruption: IopmemError?

    /// Whether something was done.
    var hasSuccesses: Bool { successes > 0 }
    /// Whether nothing was attempted.
    var isEmpty: Bool { successes == 0 && failures.isEmpty }

    /// Attempts one target, unless an interruption has ended the batch.
    mutating func attempt(_ body: () throws(IopmemError) -> Void) throws(IopmemError) {
        guard interruption == nil else { return }
        do throws(IopmemError) {
            try body()
            successes += 1
        } catch {
            guard error.code == .interrupted else { return failures.append(error) }
            guard hasSuccesses else { throw error }
            interruption = IopmemError(
                .interrupted, "interrupted after \(successes) of them; nothing else was changed",
                signal: error.signal)
        }
    }

    /// Fails if a target did: with the one failure itself, with the kind that
    /// all failures share, or with `.partial` where others succeeded.
    func finish() throws(IopmemError) {
        if let interruption { throw interruption }
        guard let first = failures.first else { return }
        guard failures.count > 1 || hasSuccesses else { throw first }
        let sentences = failures.map(\.message).joined(separator: "; ")
        let remedies = failures.compactMap(\.remedy)
            .reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let remedy = remedies.isEmpty ? nil : remedies.joined(separator: "; ")
        if hasSuccesses {
            throw IopmemError(
                .partial, "\(successes) done, \(failures.count) not", because: sentences,
                remedy: remedy)
        }
        let isShared = failures.allSatisfy { $0.exitStatus == first.exitStatus }
        throw IopmemError(
            isShared ? first.code : .failed, "none of \(failures.count) done", because: sentences,
            remedy: remedy)
    }
}
