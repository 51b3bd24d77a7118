// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("NVMe trace")
struct NVMeTraceTests {
    private let bar: Range<UInt64> = 0xd000_0000..<0xe000_0000

    @Test("tells bytes in the BAR from bytes in RAM")
    func ranges() {
        let trace = NVMeTrace(
            """
            pci_nvme_read cid 469 nsid 1 nlb 16 count 8192 lba 0x1500
            pci_nvme_map_addr addr 0xd0400000 len 4096
            pci_nvme_map_addr addr 0x7efe6000 len 4096
            pci_nvme_write cid 5 opname 'NVME_NVM_CMD_WRITE' nsid 1 nlb 8 count 4096 lba 0x800
            pci_nvme_map_addr addr 0xd0400000 len 4096

            """)
        #expect(trace.bytesRead == 8192)
        #expect(trace.bytesWritten == 4096)
        #expect(trace.bytes(in: bar) == 8192)
        #expect(trace.bytes(outside: bar) == 4096)
    }

    @Test("splits a run that crosses the end of the BAR")
    func crossing() {
        let trace = NVMeTrace("pci_nvme_map_addr addr 0xdffff000 len 8192\n")
        #expect(trace.bytes(in: bar) == 4096)
        #expect(trace.bytes(outside: bar) == 4096)
    }

    @Test("reads lines with a process and a time in front")
    func prefixed() {
        let trace = NVMeTrace("4711@1795231557.123456:pci_nvme_map_addr addr 0xd0000000 len 512\n")
        #expect(trace.segments == [.init(address: 0xd000_0000, length: 512)])
    }

    @Test("follows the IOMMU's translations, page by page and in order of time")
    func translated() {
        let trace = NVMeTrace(
            """
            vtd_dmar_translate dev 02:00.00 iova 0xffff9000 -> gpa 0x4cf9000 mask 0xfff
            pci_nvme_map_addr addr 0xffff9800 len 4096
            vtd_dmar_translate dev 02:00.00 iova 0xffff9000 -> gpa 0xd0001000 mask 0xfff
            vtd_dmar_translate dev 02:00.00 iova 0xffffa000 -> gpa 0x4cfa000 mask 0xfff
            pci_nvme_map_addr addr 0xffff9000 len 4096

            """, isTranslated: true)
        #expect(
            trace.segments == [
                .init(address: 0xd000_1800, length: 2048), .init(address: 0x4cf_a000, length: 2048),
            ])
        #expect(trace.untranslatedBytes == 4096)
        #expect(trace.bytes(in: bar) == 2048)
        #expect(trace.bytes(outside: bar) == 2048 + 4096)
    }

    @Test("ignores what it does not know")
    func noise() {
        let trace = NVMeTrace("pci_nvme_irq_pin pulsing\n\npci_nvme_map_addr addr\nqemu: hello\n")
        #expect(trace.segments.isEmpty)
        #expect(trace.commands.isEmpty)
    }
}
