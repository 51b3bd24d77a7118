// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("Wrong drivers")
struct WrongDriverTests {
    private let source = """
        int first(void)
        {
        \treturn 1;
        }

        int second(void)
        {
        \tif (first())
        \t\treturn 2;
        \treturn 3;
        }
        """

    @Test("only the body of the named function is replaced")
    func replacing() {
        let wrong = Preparation.replacing("int second(void)", "\treturn 0;", in: source)
        #expect(
            wrong == """
                int first(void)
                {
                \treturn 1;
                }

                int second(void)
                {
                \treturn 0;
                }
                """)
    }

    @Test("a function that is not there is not replaced")
    func missing() {
        #expect(Preparation.replacing("int third(void)", "", in: source) == nil)
    }

    @Test("a driver without the function is refused, not built as it is")
    func refused() {
        #expect(throws: LabError.self) {
            try Preparation.wrongDriver("none", signature: "int no_such(void)", body: "")
        }
    }

    @Test("an access is read from QEMU's record")
    func access() {
        let line =
            "1234@1700000000.123456:memory_region_ops_write cpu 1 mr 0x55d0 addr 0x380000000008 "
            + "value 0x1 size 8 name 'nvme-cmb'"
        let access = MemoryAccess(line, region: "nvme-cmb")
        #expect(access?.isWrite == true)
        #expect(access?.address == 0x3800_0000_0008)
        #expect(access?.size == 8)
        #expect(MemoryAccess(line, region: "serial") == nil)
        #expect(MemoryAccess("pci_nvme_read cid 73 nsid 1", region: "nvme-cmb") == nil)
    }
    @Test("what a network card sent is read from QEMU's record")
    func sent() {
        func bytes(_ lower: String) -> SentBytes? {
            SentBytes("1234@1700000000.123456:e1000e_tx_descr 0xc9000000 : \(lower) 0")
        }
        #expect(bytes("3b1005a8")?.addresses == 0xc900_0000..<0xc900_05a8)
        // The older form has shorter ones; a context has no data.
        #expect(bytes("0b00005a")?.addresses == 0xc900_0000..<0xc900_005a)
        #expect(bytes("20000123") == nil)
        #expect(SentBytes("pci_nvme_read cid 73 nsid 1 : 5 0") == nil)
    }
}
