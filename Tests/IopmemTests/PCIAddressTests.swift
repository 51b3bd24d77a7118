// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

/// BDFs on the command line and in sysfs.
@Suite("PCIAddress")
struct PCIAddressTests {
    @Test(
        "reads what lspci takes, and writes what the kernel writes",
        arguments: [
            ("0000:03:00.0", "0000:03:00.0"), ("03:00.0", "0000:03:00.0"),
            ("3:0.7", "0000:03:00.7"), ("10000:e1:1f.7", "10000:e1:1f.7"),
            ("ABCD:Ef:1F.1", "abcd:ef:1f.1"),
        ])
    func accepted(text: String, kernel: String) {
        #expect(PCIAddress(text)?.description == kernel)
    }

    @Test(
        "refuses everything else",
        arguments: [
            "", "03", "03:00", "03:00.8", "03:20.0", "100:00.0", "0000:03:00", "0000:03:00.0.0",
            "0000:0000:03:00.0", "+3:00.0", "-1:00.0", "03:00.x", "03:00.00", ":03:00.0", "03: 0.0",
            "123456789:03:00.0", "/sys/bus/pci/devices/0000:03:00.0",
        ])
    func refused(text: String) {
        #expect(PCIAddress(text) == nil)
    }

    @Test("sorts as lspci does")
    func order() {
        let texts = ["0001:00:00.0", "0000:10:00.0", "0000:0a:00.1", "0000:0a:00.0"]
        let sorted = texts.compactMap { PCIAddress($0) }.sorted().map(\.description)
        #expect(sorted == ["0000:0a:00.0", "0000:0a:00.1", "0000:10:00.0", "0001:00:00.0"])
    }

    @Test("devfn is the kernel's")
    func devfn() {
        #expect(PCIAddress("00:1f.2")?.devfn == 0xfa)
    }
}
