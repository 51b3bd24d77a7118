// SPDX-License-Identifier: GPL-2.0
import Synchronization

/// What the threads of a run and who watches them tell each other.
public final class RunMonitor: Sendable {
    /// How far all jobs are.
    public struct Progress: Sendable {
        /// What is being done; nil where jobs are at different things.
        public var phase: VerifyRun.Progress.Phase?
        /// Bytes that were moved, both ways.
        public var done: UInt64
        /// How much of the whole that is, from 0 to 1.
        public var fraction: Double
        /// Blocks that were wrong.
        public var blocksBad: UInt64
    }

    private let signal = Atomic<Int32>(0)
    private let states: Mutex<[VerifyRun.Progress?]>

    init(jobs: Int) {
        states = Mutex([VerifyRun.Progress?](repeating: nil, count: jobs))
    }

    /// Ends all jobs.
    func stop(_ number: Int32) { signal.store(number, ordering: .relaxed) }

    /// What a job's run is given.
    func environment(of job: Int) -> VerifyRun.Environment {
        VerifyRun.Environment(
            pendingSignal: { [self] in
                let number = signal.load(ordering: .relaxed)
                return number == 0 ? nil : number
            },
            progress: { [self] progress in states.withLock { $0[job] = progress } })
    }

    /// All of them together.
    var progress: Progress {
        states.withLock { states in
            let begun = states.compactMap(\.self)
            let phases = Set(begun.map(\.phase))
            return Progress(
                phase: phases.count == 1 ? phases.first : nil,
                done: begun.reduce(0) { $0 + $1.done },
                fraction: begun.reduce(0) { $0 + $1.fraction } / Double(max(states.count, 1)),
                blocksBad: begun.reduce(0) { $0 + $1.blocksBad })
        }
    }
}
