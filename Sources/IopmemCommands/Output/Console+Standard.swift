// SPDX-License-Identifier: GPL-2.0
import Glibc
import Iopmem

extension Console {
    /// The process's own stdout, stderr and terminal.
    public static func standard(_ options: OutputOptions) -> Console {
        var console = standard(format: options.format)
        console.isVerbose = options.verbose
        console.isQuiet = options.quiet
        return console
    }

    /// The same with talk as it is by default.
    public static func standard(format: OutputOptions.Format) -> Console {
        let hasTerminal = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1
        var console = Console(
            writeResult: writeToStandardOutput, writeTalk: writeToStandardError,
            writeRawResult: { (bytes) throws(IopmemError) in
                try writeAll(bytes, to: STDOUT_FILENO)
            },
            ask: { (question) throws(IopmemError) -> String? in
                guard hasTerminal else { return nil }
                writeToStandardError(question)
                return readLine()
            })
        console.format = format
        console.isStyled = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
        return console
    }

    private static func writeToStandardOutput(_ text: String) throws(IopmemError) {
        try writeAll(Array(text.utf8), to: STDOUT_FILENO)
    }

    /// There is nobody to tell when stderr itself cannot be written.
    static func writeToStandardError(_ text: String) {
        try? writeAll(Array(text.utf8), to: STDERR_FILENO)
    }

    /// A result that cannot be written is a failure, not silence: `> /dev/full`.
    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(IopmemError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + done }, bytes.count - done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw IopmemError(
                    .failed, "cannot write the result", because: String(cString: strerror(errno)))
            }
            done += count
        }
    }
}
