// SPDX-License-Identifier: GPL-2.0

import Dispatch
import Glibc
import SystemPackage

extension Machine {
    /// Gives the user of this program a shell in the guest, until it ends.
    ///
    /// The guest's side is a terminal of its own, so that Ctrl-C, job control and full-screen programs
    /// work; this side passes bytes on, and the size of the window.
    public func converse(greeting: String) async throws {
        let terminal = HostTerminal()
        let size = terminal.size
        let node = "/dev/hvc0"
        try await guest.run("stty -F \(node) rows \(size.rows) cols \(size.columns) sane")
        // Input that nobody types needs no echo.
        if !terminal.isInteractive { try await guest.run("stty -F \(node) -echo") }
        try await guest.run(
            """
            printf '%s\\n' "$GREETING" >/run/iopmem-lab/greeting
            cat >/run/iopmem-lab/bashrc <<'END'
            cat /run/iopmem-lab/greeting
            PS1='\\[\\e[1m\\](iopmem lab)\\[\\e[0m\\] \\w # '
            HISTFILE=
            cd /root
            END
            """.replacing("\"$GREETING\"", with: "'\(greeting.replacing("'", with: "'\\''"))'"))
        terminal.enter()
        defer { terminal.leave() }
        let console = try consoleDescriptor()
        let pump = TerminalPump(terminal: terminal, console: console)
        pump.start()
        let resizing = terminal.onResize { size in
            Task {
                try? await self.guest.run(
                    "stty -F \(node) rows \(size.rows) cols \(size.columns)", status: nil)
            }
        }
        defer { resizing.cancel() }
        _ = try await guest.run(
            "TERM='\(terminal.kind)' setsid --ctty --wait bash --rcfile /run/iopmem-lab/bashrc -i"
                + " <>\(node) >&0 2>&0", status: nil, within: 7 * 24 * 3600)
        pump.finish()
    }
}

/// The terminal, or the pipe, that this program was started with.
final class HostTerminal: Sendable {
    /// Whether somebody types.
    let isInteractive = isatty(0) == 1
    private let before: termios

    init() {
        var state = termios()
        tcgetattr(0, &state)
        before = state
    }

    /// What kind of terminal programs shall take it for.
    var kind: String {
        guard isInteractive, let name = getenv("TERM") else { return "dumb" }
        return String(cString: name)
    }

    /// In characters; 24 by 80 where there is no window.
    var size: (rows: Int, columns: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return (24, 80) }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    /// From now on every key goes to the guest.
    func enter() {
        guard isInteractive else { return }
        var raw = before
        cfmakeraw(&raw)
        tcsetattr(0, TCSANOW, &raw)
    }

    func leave() {
        guard isInteractive else { return }
        var state = before
        tcsetattr(0, TCSADRAIN, &state)
    }

    func onResize(_ act: @escaping @Sendable ((rows: Int, columns: Int)) -> Void)
        -> any DispatchSourceSignal
    {
        let source = DispatchSource.makeSignalSource(signal: SIGWINCH)
        source.setEventHandler { act(self.size) }
        source.resume()
        return source
    }
}

/// Passes bytes between the terminal and the guest's console.
final class TerminalPump: Sendable {
    private let terminal: HostTerminal
    private let console: FileDescriptor

    init(terminal: HostTerminal, console: FileDescriptor) {
        self.terminal = terminal
        self.console = console
    }

    func start() {
        detach { [console] in Self.copy(from: console, to: .standardOutput) }
        detach { [console] in
            Self.copy(from: .standardInput, to: console)
            // The end of a pipe is what Ctrl-D is on a keyboard.
            _ = try? console.writeAll([0x04])
        }
    }

    func finish() {
        shutdown(console.rawValue, Int32(SHUT_RDWR))
    }

    private static func copy(from source: FileDescriptor, to target: FileDescriptor) {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while let count = try? chunk.withUnsafeMutableBytes({ try source.read(into: $0) }),
            count > 0
        {
            guard (try? target.writeAll(chunk[..<count])) != nil else { return }
        }
    }
}
