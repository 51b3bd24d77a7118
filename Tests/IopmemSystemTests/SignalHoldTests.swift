// SPDX-License-Identifier: GPL-2.0
import Glibc
import IopmemSystem
import Testing

/// Holding signals back while something is half done.
@Suite("SignalHold")
struct SignalHoldTests {
    /// In a thread of its own, because a signal mask is a thread's, and a
    /// signal sent to a thread waits for that thread.
    @Test("a held signal is seen, waits, and leaves with nobody harmed")
    func holds() async throws {
        let seen: [Int32?] = try await withCheckedThrowingContinuation { continuation in
            var thread = pthread_t()
            let box = Unmanaged.passRetained(Box(continuation))
            pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                    box.continuation.resume(with: Result { try SignalHoldTests.trial() })
                    return nil
                }, box.toOpaque())
            pthread_detach(thread)
        }
        #expect(seen == [nil, SIGTERM])
    }

    private static func trial() throws -> [Int32?] {
        let hold = try SignalHold()
        let before = hold.pending
        pthread_kill(pthread_self(), SIGTERM)
        let after = hold.pending
        // Taken away before the hold lets go, or it would end the tests.
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        var number: Int32 = 0
        sigwait(&set, &number)
        withExtendedLifetime(hold) {}
        return [before, after]
    }

    private final class Box {
        let continuation: CheckedContinuation<[Int32?], any Error>
        init(_ continuation: CheckedContinuation<[Int32?], any Error>) {
            self.continuation = continuation
        }
    }
}
