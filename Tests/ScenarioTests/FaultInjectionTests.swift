// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// No memory, at each place where some is asked for.
///
///     root complex ─┬─ sw0 ─┬─ card0   128 MiB   on which calls fail
///                   │       └─ edu0              imports dma-bufs of it
///                   └─ card1    16 MiB           whose namespace keeps page tables alive
///
/// Only in the kernel that looks for bugs: the archive's kernels are built without
/// CONFIG_FAULT_INJECTION, so there nothing can be made to fail.
@Suite(
    "Fault injection",
    .enabled(
        if: Kernel.supported.contains(where: \.looksForBugs),
        "CONFIG_FAULT_INJECTION is off in the archive's kernels; make test-debug runs it"))
struct FaultInjectionTests {
    static let topology = Topology(
        .switch("sw0", .card("card0", megabytes: 128), .edu("edu0")),
        .card("card1", megabytes: 16))

    @Test(
        "a call whose allocation fails says so and changes nothing",
        arguments: Kernel.supported.filter(\.looksForBugs))
    func allocations(on kernel: Kernel) async throws {
        // The kernel's own words about what it was not given; a trace follows some of them.
        let reports = [
            "kobject_add_internal failed for iopmem", "(error: -12 parent: iopmem", "add_pages+",
            "(error: -12 parent: bdi)", "Call Trace:",
        ]
        try await scenario(
            Self.topology, on: kernel, expecting: reports, preparation: try .importer()
        ) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            // Two places that nobody but the kernel can mend. KASAN forgets that page tables for its
            // shadow were not to be had (mm/kasan/init.c: zero_pud_populate() drops the error). x86
            // does not check whether it got some for the memory itself (arch/x86/mm/init_64.c), but
            // needs none beside memory that is mapped already.
            let excluded = try machine.addresses(of: "kasan_add_zero_shadow")
            try await guest.run(
                "modprobe iopmem && modprobe iopmem-importer && iopmemctl bind \(card)")
            let mapped = try await machine.create(on: "card1", "--size max")
            try await guest.run(
                """
                udevadm settle
                # Its looks at new disks would hold them.
                pkill -STOP -x systemd-udevd
                cd /sys/kernel/debug
                for kind in failslab fail_page_alloc; do
                    # Also those that may sleep, of any order, and without a report each.
                    echo N >$kind/ignore-gfp-wait
                    echo 0 >$kind/verbose
                done
                echo N >fail_page_alloc/ignore-gfp-highmem
                echo 0 >fail_page_alloc/min-order
                for kind in failslab fail_page_alloc; do
                    echo 32 >$kind/stacktrace-depth
                    echo \(excluded.lowerBound) >$kind/reject-start
                    echo \(excluded.upperBound) >$kind/reject-end
                done
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
            try await guest.run("pkill -CONT -x systemd-udevd")
            try await guest.run("iopmemctl unbind \(card) && iopmemctl unbind \(mapped.device)")
        }
    }
}
