// SPDX-License-Identifier: GPL-2.0
import Foundation
import Testing

@testable import IopmemSystem

/// The PCI id database, in each state in which a file can be.
@Suite("PCINames")
struct PCINamesTests {
    /// Ids that no real database has.
    private static let whole = """
        # A comment
        fff0  Acme
        \t0001  Memory Card
        fff1  Bolt
        \t0002  Accelerator

        """

    private func names(_ text: String) throws -> (PCINames, file: String) {
        let file = NSTemporaryDirectory() + "pci.ids.\(UUID())"
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        return (PCINames(path: file), file)
    }

    @Test("names vendor and device; one that it does not know has numbers")
    func known() throws {
        let (names, file) = try names(Self.whole)
        defer { unlink(file) }
        #expect(names.name(vendor: 0xfff0, device: 1) == "Acme Memory Card")
        #expect(names.name(vendor: 0xfff1, device: 2) == "Bolt Accelerator")
        #expect(names.name(vendor: 0xfff0, device: 0xabcd) == "Acme Device abcd")
        #expect(names.name(vendor: 0xfff2, device: 0x12) == "Device fff2:0012")
    }

    @Test(
        "names what stands before a mistake, the first time that it is asked too",
        arguments: ["fff1 One blank\n", "\t\t\tzz\n", "ff", "fff1  Bo\n\u{1}\n", "\0\0\0\n"])
    func damaged(mistake: String) throws {
        let (names, file) = try names("fff0  Acme\n\t0001  Memory Card\n" + mistake)
        defer { unlink(file) }
        for _ in 1...2 {
            #expect(names.name(vendor: 0xfff0, device: 1) == "Acme Memory Card")
            #expect(names.name(vendor: 0xfff2, device: 2) == "Device fff2:0002")
        }
    }

    @Test("has numbers where there is no file, and for an empty one")
    func missing() throws {
        #expect(
            PCINames(path: "/nonexistent/pci.ids").name(vendor: 0xfff0, device: 1)
                == "Device fff0:0001")
        let (names, file) = try names("")
        defer { unlink(file) }
        #expect(names.name(vendor: 0xfff0, device: 1) == "Device fff0:0001")
    }
}
