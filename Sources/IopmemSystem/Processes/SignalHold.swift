// SPDX-License-Identifier: GPL-2.0
import CIopmem
import Glibc
public import SystemPackage

/// Holds back SIGINT, SIGTERM and SIGHUP, so that an operation of several steps
/// is finished or undone before the process obeys.
///
/// Whoever holds them looks at `pending` between steps, undoes, and exits. When
/// the last holder lets go, a signal that has come meanwhile is obeyed. A reader of our words who has
/// gone ends the work no more than they do: SIGPIPE is held as well, and asked about by nobody.
public final class SignalHold {
    private let file: OwnedDescriptor
    /// Readable while a signal is waiting; for poll(2).
    let descriptor: CInt
    private let oldMask: sigset_t

    /// Begins to hold them back.
    public init() throws(Errno) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, signal) }
        let number = iopmem_signal_file(&set)
        guard number >= 0 else { throw Errno(rawValue: -number) }
        file = OwnedDescriptor(adopting: FileDescriptor(rawValue: number))
        descriptor = number
        sigaddset(&set, SIGPIPE)
        var old = sigset_t()
        let result = pthread_sigmask(SIG_BLOCK, &set, &old)
        oldMask = old
        guard result == 0 else { throw Errno(rawValue: result) }
    }

    deinit {
        var mask = oldMask
        pthread_sigmask(SIG_SETMASK, &mask, nil)
    }

    /// A signal that is waiting; it goes on waiting.
    public var pending: Int32? {
        var set = sigset_t()
        sigemptyset(&set)
        guard sigpending(&set) == 0 else { return nil }
        return [SIGINT, SIGTERM, SIGHUP].first { sigismember(&set, $0) == 1 }
    }
}
