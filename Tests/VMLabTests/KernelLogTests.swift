// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("Kernel log")
struct KernelLogTests {
    @Test(
        "finds what kernels report",
        arguments: [
            "[   12.3] WARNING: CPU: 1 PID: 1 at fs/dax.c:421 dax_disassociate_entry+0x3a/0x50",
            "[   12.3] BUG: unable to handle page fault for address: ffff88",
            "[   12.3] Oops: 0000 [#1] PREEMPT SMP NOPTI",
            "[   12.3] Call Trace:", "[   12.3] refcount_t: underflow; use-after-free.",
            "[   12.3] INFO: task umount:412 blocked for more than 60 seconds.",
            "[   12.3] BUG: Bad page state in process fio  pfn:d0000",
            "[   12.3] WARNING: possible circular locking dependency detected",
            "[   12.3] WARNING: suspicious RCU usage",
            "[   12.3] BUG: sleeping function called from invalid context at mm/slab.h:1",
            "[   12.3] BUG: KASAN: slab-use-after-free in iopmem_x+0x1/0x2 [iopmem]",
            "[   12.3] UBSAN: array-index-out-of-bounds in kmod/region.c:1:2",
            "[   12.3] ODEBUG: free active (active state 0) object: 00000000 object type: work",
            "[   12.3] DMA-API: nvme 0000:00:04.0: device driver frees DMA memory",
            "[   12.3] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[   12.3] DMAR: [DMA Write NO_PASID] Request device [04:00.0] fault addr 0xd0000000",
        ])
    func finds(_ line: String) {
        #expect(KernelLog.reports(in: "[    1.0] all is well\n\(line)\n") == [line])
    }

    @Test(
        "lets ordinary messages pass",
        arguments: [
            "[    0.0] calibrate_delay_direct() failed to get a good estimate for loops_per_jiffy.",
            "<6>[   17.2] iopmem-lab: echo 'BUG: not one' >/dev/kmsg",
            "[    0.1] kfence: initialized - using 2097152 bytes for 255 objects",
            "[    3.5] debug: BUGS are hunted here",
            "[    0.0] rcu: \tRCU lockdep checking is enabled.",
            "[    1.6] DMA-API: preallocated 65536 debug entries",
            "[   35.0] kmemleak: Kernel memory leak detector initialized (mem pool available: 31070)",
        ])
    func passes(_ line: String) {
        #expect(KernelLog.reports(in: line).isEmpty)
    }

    @Test("wants announced reports, and only those")
    func announced() {
        let log = "x\n[ 1.0] WARNING: at fs/dax.c:1\n[ 2.0] BUG: other\n"
        #expect(KernelLog.findings(in: log, expecting: ["fs/dax.c", "BUG: other"]).isEmpty)
        #expect(KernelLog.findings(in: log, expecting: ["fs/dax.c"]).count == 1)
        #expect(KernelLog.findings(in: "x\n", expecting: ["fs/dax.c"]).count == 1)
    }
}
