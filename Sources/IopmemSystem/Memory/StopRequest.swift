// SPDX-License-Identifier: GPL-2.0
private import CMemory
public import SystemPackage

/// While one lives, Ctrl-C (SIGINT, SIGTERM, SIGHUP) is a request that long work
/// looks at between two steps, so that it can put things back and report.
public struct StopRequest: ~Copyable {
    /// Takes the signals over.
    public init() throws(Errno) {
        try check(iopmem_stop_install())
    }

    deinit { iopmem_stop_uninstall() }

    /// Whether somebody asked to stop.
    public static var isRaised: Bool { iopmem_stop_signal() != 0 }
}
