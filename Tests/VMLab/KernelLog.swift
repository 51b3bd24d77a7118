// SPDX-License-Identifier: GPL-2.0

import Glibc

/// Looks through a kernel's messages for reports of trouble.
///
/// A report that a scenario expects must be announced, and must then come; every other fails it.
public struct KernelLog: Sendable {
    /// What the kernel prints when something is wrong that nobody asked for.
    private static let signs = [
        "WARNING:", "BUG:", "kernel BUG at", "Oops: ", "Call Trace:", "general protection fault",
        "unable to handle", "refcount_t:", "Bad page", "Bad rss-counter", "KASAN:", "KFENCE:",
        "KCSAN:", "UBSAN:", "kmemleak:", "suspected memory leak", "lockdep",
        "possible circular locking", "possible recursive locking", "INFO: task", "hung_task:",
        "blocked for more than", "soft lockup", "hard LOCKUP", "rcu_sched self-detected",
        "rcu_preempt self-detected", "detected stalls", "scheduling while atomic",
        "sleeping function called", "DMAR: [DMA", "DMAR: DRHD: handling fault",
        "list_add corruption",
        "list_del corruption", "slab-use-after-free", "Objects remaining in", "Freepointer corrupt",
        "stack-protector", "Kernel panic", "page allocation failure", "invoked oom-killer",
        "unregister_netdevice: waiting", "VFS: Busy inodes", "sysfs: cannot create duplicate",
        "kobject_add_internal failed", "does not have a release() function", "DEBUG_LOCKS_WARN_ON",
        "Trying to free nonexistent resource", "segfault at", "ODEBUG:", "DMA-API:",
        "INFO: trying to register non-static key", "suspicious RCU usage",
    ]

    /// Lines that contain a sign and are none.
    private static let harmless = [
        // The lab's own notes of the commands that it runs.
        "iopmem-lab:",
        // The settings of a checker, not a finding of it.
        "kfence: initialized", "RCU lockdep checking is enabled", "DMA-API: preallocated",
        "DMA-API: debugging enabled", "kmemleak: Kernel memory leak detector",
        "kmemleak: Automatic memory scanning thread",
        // Given no memory for its notes of where pointers are, it looks at all of an object.
        "kmemleak: Cannot allocate a scan area",
        // An emulated processor that had to wait for a real one, while it booted: clocks are
        // calibrated against each other before anything of ours runs.
        "MP-BIOS bug: 8254 timer", "calibrate_delay_direct()",
    ]

    /// The lines of trouble in a log, as they are.
    static func reports(in log: String) -> [String] {
        // By C's function: a thousand lines by the library's are a third of a second, for each machine.
        log.split { $0.isNewline || $0 == "\0" }.map(String.init).filter { line in
            line.withCString { line in
                signs.contains { strstr(line, $0) != nil }
                    && !harmless.contains { strstr(line, $0) != nil }
            }
        }
    }

    /// What is wrong with a log; empty when it is as announced.
    static func findings(in log: String, expecting announced: [String]) -> [String] {
        let lines = reports(in: log)
        let unexpected = lines.filter { line in !announced.contains { line.contains($0) } }
        let missing = announced.filter { text in !lines.contains { $0.contains(text) } }
        return unexpected.map { "not announced: \($0)" }
            + missing.map { "announced, but it did not come: \($0)" }
    }
}
