// SPDX-License-Identifier: GPL-2.0

import VMLab

/// The check of what the driver promises: whatever a program does to make data durable, it returns
/// only after a flush of the namespace's device.
struct FlushCheck {
    /// How a program makes data durable; see sync.c.
    enum Way: String, CaseIterable {
        case fsync, fdatasync, msync, dsync
        /// Only on block devices: a FUA write.
        case direct

        /// The system call that may return only once the data is on the device.
        var systemCall: String {
            switch self {
            case .fsync, .fdatasync, .msync: rawValue
            case .dsync, .direct: "pwrite64"
            }
        }

        static let onFiles: [Way] = [.fsync, .fdatasync, .msync, .dsync]
    }

    /// What is wrong with the flushes.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What happened in the kernel, from its trace.
    enum Event: Equatable {
        case enter
        case leave(failed: Bool)
        case flush(dev: String, failed: Bool)

        /// Reads a line of the trace; nil if it is none of these.
        ///
        ///     iopmem-guest-812  [000] .....  98: sys_fsync(fd: 3)
        ///     jbd2/iopmem0n1-7  [001] .....  99: iopmem_flush: dev=iopmem0n1 flushes=9 status=0
        ///     iopmem-guest-812  [000] .....  100: sys_fsync -> 0x0
        init?(_ line: some StringProtocol, of way: Way) {
            if line.contains(": iopmem_flush: dev=") {
                let words = line.split(separator: " ")
                guard let dev = words.first(where: { $0.hasPrefix("dev=") })?.dropFirst(4) else {
                    return nil
                }
                self = .flush(dev: String(dev), failed: words.last != "status=0")
            } else if line.contains("iopmem-guest-"), line.contains(": sys_\(way.systemCall)(") {
                self = .enter
            } else if line.contains("iopmem-guest-"), line.contains(": sys_\(way.systemCall) -> ") {
                self = .leave(failed: line.contains("-> 0xf"))
            } else {
                return nil
            }
        }
    }

    /// The namespace's name in the kernel.
    let dev: String
    /// A file on it, or its node, or that of a part of it.
    let file: String
    /// How often each way is gone.
    var count = 10

    /// Goes each of the ways; throws a ``Failure`` unless each call took a flush with it.
    ///
    /// - Returns: The flushes, for each of the ways.
    @discardableResult
    func demand(_ ways: [Way], on machine: Machine) async throws -> [Way: Int] {
        let said = try await machine.guest.run(
            Self.tracing + ways.map(script).joined(separator: "\n")
        ).output
        // The first piece is what was said before the first way.
        let answers = said.components(before: "== ").dropFirst()
        guard answers.count == ways.count else {
            throw Failure(description: "\(answers.count) answers for \(ways.count) ways:\n\(said)")
        }
        var flushes: [Way: Int] = [:]
        for (way, answer) in zip(ways, answers) { flushes[way] = try judge(way, answer) }
        return flushes
    }

    /// Turned on once for each machine: the kernel changes its own code for that, which takes time.
    private static let tracing = """
        cd /sys/kernel/tracing
        echo 0 >tracing_on
        # Clocks of processors differ by more than a flush takes; this one only counts events.
        echo counter >trace_clock
        if ! grep -q iopmem_flush set_event; then
            for call in fsync fdatasync msync pwrite64; do
                echo syscalls:sys_enter_$call
                echo syscalls:sys_exit_$call
            done >/run/events
            echo iopmem:iopmem_flush >>/run/events
            cat /run/events >set_event
        fi

        """

    private func script(_ way: Way) -> String {
        """
        sync -f \(file)
        echo >trace
        counter=/sys/class/iopmem/\(dev)/flushes
        before=$(cat $counter)
        echo 1 >tracing_on
        ended=$(iopmem-guest sync \(way) \(file) \(count))
        echo 0 >tracing_on
        echo "== $ended"
        echo $(($(cat $counter) - before))
        cat trace
        """
    }

    /// - Parameter said: How it ended, the counter's difference, and the trace.
    func judge(_ way: Way, _ said: String) throws -> Int {
        let lines = said.split(separator: "\n")
        func failure(_ text: String) -> Failure {
            Failure(description: "\(count) × \(way) on \(file): \(text)\n\(said)")
        }
        guard lines.count > 2, lines[0] == "OK" else { throw failure("it failed") }
        guard let counted = Int(lines[1]) else { throw failure("the counter is no number") }
        guard counted >= count else { throw failure("only \(counted) flushes were counted") }

        let events = lines.dropFirst(2).compactMap { Event($0, of: way) }
        var calls = 0
        var traced = 0
        var inside: Int?
        for event in events {
            switch event {
            case .enter:
                inside = 0
            case .flush(dev: dev, failed: false):
                traced += 1
                inside? += 1
            case .flush(dev: dev, failed: true):
                throw failure("a flush failed")
            case .flush:
                break
            case .leave(let failed):
                guard !failed else { throw failure("a call failed") }
                guard let flushed = inside, flushed > 0 else {
                    throw failure("a call returned without a flush")
                }
                calls += 1
                inside = nil
            }
        }
        guard calls == count else { throw failure("the trace has \(calls) calls") }
        // The counter is read a moment later than the trace ends.
        guard traced <= counted, traced >= count else {
            throw failure("\(counted) flushes were counted and \(traced) traced")
        }
        return traced
    }
}

extension String {
    /// The pieces between the lines that begin with a mark, each without its mark; the first is what
    /// comes before all marks.
    fileprivate func components(before mark: String) -> [String] {
        var pieces = [""]
        for line in split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix(mark) {
                pieces.append("\(line.dropFirst(mark.count))\n")
            } else {
                pieces[pieces.count - 1] += "\(line)\n"
            }
        }
        return pieces
    }
}
