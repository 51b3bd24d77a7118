// SPDX-License-Identifier: GPL-2.0

import Glibc
import Synchronization

/// What the lab is doing, in plain words, on stderr: stdout belongs to results.
public enum Progress {
    private static let silenced = Atomic(false)

    /// Prints one line.
    public static func say(_ text: String) {
        if silenced.load(ordering: .relaxed) { return }
        let line = Array("lab: \(text)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }

    /// Prints nothing from now on, for a program that has its own way to show progress.
    public static func silence() {
        silenced.store(true, ordering: .relaxed)
    }

    /// Does something that takes its time, saying so before and how long it took after.
    static func during<Result>(
        _ text: String, _ body: () async throws -> Result
    ) async throws -> Result {
        say("\(text) …")
        let start = ContinuousClock.now
        let result = try await body()
        let seconds = (ContinuousClock.now - start).components.seconds
        if seconds >= 2 { say("\(text): done in \(seconds) s") }
        return result
    }
}
