// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("Debug kernel")
struct DebugKernelTests {
    @Test("is one of the lab's kernels, and none that scenarios run on unasked")
    func table() throws {
        let kernel = try Kernel.named("6.12-debug")
        #expect(kernel.looksForBugs && kernel.slowness > 1)
        #expect(Kernel.all.filter(\.looksForBugs) == [kernel])
        #expect(throws: LabError.self) { try Kernel.named("6.13") }
    }

    @Test("is refused when Kconfig has dropped a line")
    func dropped() {
        let fragment = "# Why\nCONFIG_KASAN=y\n# CONFIG_DRM is not set\nCONFIG_X=\"-debug\"\n"
        let whole = "CONFIG_X=\"-debug\"\nCONFIG_KASAN=y\nCONFIG_Y=m\n# CONFIG_DRM is not set\n"
        #expect(KernelImage.missing(from: whole, of: fragment).isEmpty)
        let without = whole.replacing("CONFIG_KASAN=y", with: "# CONFIG_KASAN is not set")
        #expect(KernelImage.missing(from: without, of: fragment) == ["CONFIG_KASAN=y"])
    }

    @Test("finds the driver's leaks, loaded or not, and nobody else's")
    func leaks() {
        let listing = """
            unreferenced object 0xffff88800a1b2c00 (size 32):
              comm "iopmem-guest", pid 97, jiffies 4294709673
              hex dump (first 32 bytes):
                00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
              backtrace (crc 0):
                __kmalloc_cache_noprof+0x2a0/0x3a0
                iopmem_namespace_create+0x1a2/0x9c0 [iopmem]
            unreferenced object 0xffff88800a1b2d00 (size 64):
              comm "kworker/0:1", pid 9, jiffies 4294709674
              backtrace (crc 1):
                __kmalloc_noprof+0x2a0/0x3a0
                acpi_ut_allocate_object_desc_dbg+0x42/0x80
            unreferenced object 0xffff88800a1b2e00 (size 64):
              comm "modprobe", pid 99, jiffies 4294709675
              backtrace (crc 2):
                __kmalloc_noprof+0x2a0/0x3a0
                0xffffffffa0012345
            """
        let report = LeakReport(listing)
        #expect(report.records.count == 3)
        #expect(report.ours == [report.records[0], report.records[2]])
        #expect(LeakReport("").ours.isEmpty)
    }

    @Test("sees what sparse, the analyzer and checkpatch say")
    func inspection() {
        let build = """
              CC [M]  /build/dax.o
            /build/dax.c:12:5: warning: dereference of NULL ‘p’ [-Wanalyzer-null-dereference]
            dax.c:13:6: error: incompatible types in comparison expression
            """
        #expect(DriverInspection.complaints(in: build).count == 2)
        #expect(DriverInspection.complaints(in: build).allSatisfy { $0.hasPrefix("kmod/dax.c:") })
        let style = """
            pci.c:281: WARNING: line length of 104 exceeds 100 columns
            total: 0 errors, 1 warnings, 0 checks, 367 lines checked
            """
        #expect(
            DriverInspection.remarks(in: style)
                == ["kmod/pci.c:281: WARNING: line length of 104 exceeds 100 columns"])
    }
}
