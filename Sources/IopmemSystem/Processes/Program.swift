// SPDX-License-Identifier: GPL-2.0
import Glibc
public import SystemPackage

/// Another program, run to its end.
public enum Program {
    /// How it ended.
    public struct Outcome: Equatable, Sendable {
        /// Its exit status; 128 + signal if a signal ended it.
        public var status: Int32
        /// What it said on stderr, without white space at the end.
        public var complaint: String
    }

    /// Runs the program at `path` with an empty input.
    ///
    /// Its output is thrown away. Signals that this process holds back are not
    /// held back in the program.
    public static func run(_ path: String, _ arguments: [String]) throws(Errno) -> Outcome {
        let (status, complaint) = try finish(path, arguments, listeningTo: STDERR_FILENO)
        return Outcome(status: status, complaint: complaint)
    }

    /// What the program at `path` says on stdout, without white space at the end; nil where it
    /// fails. It gets an empty input, and its complaints are thrown away.
    public static func output(
        of path: String, _ arguments: [String]
    ) throws(Errno) -> String? {
        let (status, output) = try finish(path, arguments, listeningTo: STDOUT_FILENO)
        return status == 0 ? output : nil
    }

    private static func finish(
        _ path: String, _ arguments: [String], listeningTo stream: CInt
    ) throws(Errno) -> (status: CInt, words: String) {
        var ends: [CInt] = [-1, -1]
        try retrying { pipe(&ends) }
        for end in ends { try retrying { fcntl(end, F_SETFD, FD_CLOEXEC) } }
        let reader = OwnedDescriptor(adopting: FileDescriptor(rawValue: ends[0]))
        let child = try start(path, arguments, stream, to: ends[1])
        let text = try reader.readToEnd()
        var status: CInt = 0
        try retrying { waitpid(child, &status, 0) }
        let signal = status & 0x7f
        var words = Substring(String(decoding: text, as: UTF8.self))
        while words.last?.isWhitespace == true { words.removeLast() }
        return (signal == 0 ? (status >> 8) & 0xff : 128 + signal, String(words))
    }

    private static func start(
        _ path: String, _ arguments: [String], _ stream: CInt, to end: CInt
    ) throws(Errno) -> pid_t {
        // Closed here in any case, so that the reader sees the end of the pipe.
        let writer = OwnedDescriptor(adopting: FileDescriptor(rawValue: end))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        for other in [STDOUT_FILENO, STDERR_FILENO] where other != stream {
            posix_spawn_file_actions_addopen(&actions, other, "/dev/null", O_WRONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, writer.raw.rawValue, stream)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        var strings = ([path] + arguments).map { strdup($0) }
        strings.append(nil)
        defer { for string in strings { free(string) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, path, &actions, &attributes, strings, environ)
        guard result == 0 else { throw Errno(rawValue: result) }
        return child
    }
}
