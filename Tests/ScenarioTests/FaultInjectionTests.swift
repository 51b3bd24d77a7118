// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// No memory, at each place where some is asked for.
///
///     root complex ─── card0   128 MiB
///
/// Only in the kernel that looks for bugs: the archive's kernels are built without
/// CONFIG_FAULT_INJECTION, so there nothing can be made to fail.
@Suite(
    "Fault injection",
    .enabled(
        if: Kernel.supported.contains(where: \.looksForBugs),
        "CONFIG_FAULT_INJECTION is off in the archive's kernels; make test-debug runs it"))
struct FaultInjectionTests {
    static let topology = Topology(.card("card0", megabytes: 128))

    @Test(
        "a call whose allocation fails says so and changes nothing",
        arguments: Kernel.supported.filter(\.looksForBugs))
    func allocations(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel, expecting: ["kobject_add_internal failed"]) {
            machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            try await guest.run(
                """
                modprobe iopmem && iopmemctl bind \(card) && udevadm settle
                # Its looks at new disks would hold them.
                pkill -STOP -x systemd-udevd
                cd /sys/kernel/debug || exit
                for kind in failslab fail_page_alloc; do
                    # Also those that may sleep, of any order, and without a report each.
                    echo N >$kind/ignore-gfp-wait
                    echo 0 >$kind/verbose
                done
                echo N >fail_page_alloc/ignore-gfp-highmem
                echo 0 >fail_page_alloc/min-order
                # x86 maps new memory with page tables that it does not check it was given, in every
                # kernel of ours: not a place where anybody can fail.
                sort /proc/kallsyms | awk '$3 == "init_memory_mapping" { from = $1; next }
                    from != "" && $1 != from { print from, $1; exit }' | {
                    read -r from to
                    for kind in failslab fail_page_alloc; do
                        echo 32 >$kind/stacktrace-depth
                        echo 0x$from >$kind/reject-start
                        echo 0x$to >$kind/reject-end
                    done
                }
                """)
            try await machine.step("each allocation fails once") {
                let told = try await guest.run("iopmem-guest faults \(card)", within: 300).output
                // NAME: 12 allocations failed the call, 3 did not
                for line in told.split(separator: "\n") {
                    Progress.say("[\(kernel)] \(line)")
                }
                let created = told.split(separator: "\n").first { $0.hasPrefix("create fsdax") }
                let failures = created?.split(separator: " ").compactMap { Int($0) }.first ?? 0
                #expect(failures > 20, "too few for the creation of a namespace: \(told)")
            }
            try await guest.run("pkill -CONT -x systemd-udevd && iopmemctl unbind \(card)")
        }
    }
}
