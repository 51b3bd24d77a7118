// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemCommands
import Support

/// A run of iopmemctl on a simulated machine.
final class Session {
    let host: SimulatedHost
    /// What is typed when something is asked; nil without a terminal.
    var answer: String?
    /// What was asked, in order.
    private(set) var questions: [String] = []
    private(set) var output = ""
    /// What was written to stdout without being text.
    private(set) var bytes: [UInt8] = []
    private(set) var talk = ""
    private(set) var status: Int32 = -1

    init(_ host: SimulatedHost) {
        self.host = host
    }

    convenience init(_ captured: CapturedTree) throws {
        self.init(try SimulatedHost(captured))
    }

    /// Runs a command line, split at spaces.
    @discardableResult
    func run(_ line: String) -> Session {
        output = ""
        bytes = []
        talk = ""
        questions = []
        status = Iopmemctl.run(line.split(separator: " ").map(String.init), on: host) { format in
            var console = Console(
                writeResult: { self.output += $0 }, writeTalk: { self.talk += $0 },
                writeRawResult: { self.bytes += $0 },
                ask: {
                    self.questions.append($0)
                    return self.answer
                })
            console.format = format
            return console
        }
        return self
    }
}
