// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

/// Identities of namespaces.
@Suite("NamespaceUUID")
struct NamespaceUUIDTests {
    @Test("a new one is of version 4, variant 10, and not the one before")
    func random() {
        let uuid = NamespaceUUID.random()
        #expect(uuid.bytes[6] >> 4 == 4)
        #expect(uuid.bytes[8] >> 6 == 0b10)
        #expect(uuid != NamespaceUUID.random())
    }

    @Test("bytes stand in RFC 9562's order, and text comes back in lower case")
    func text() {
        let text = "00112233-4455-6677-8899-AABBCCDDEEFF"
        let uuid = NamespaceUUID(text)
        #expect(uuid?.bytes == (0..<16).map { UInt8($0 * 0x11) })
        #expect(uuid?.description == text.lowercased())
    }

    @Test(
        "refuses other forms",
        arguments: [
            "", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeefg", "{00112233-4455-6677-8899-aabbccddeeff}",
        ])
    func refused(text: String) {
        #expect(NamespaceUUID(text) == nil)
    }
}
