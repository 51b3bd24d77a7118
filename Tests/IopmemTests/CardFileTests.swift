// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

/// What a file in /etc/iopmem may say, and which cards it means.
@Suite("Card files")
struct CardFileTests {
    static let uuid = "0b5e2a3c-1d4f-4a6b-8c7d-9e0f1a2b3c4d"
    static let device = "[device]\npath = 0000:00:02.0/00.0\nid = 1af4:1110\n"

    private func read(_ text: String) -> CardFile.Reading { CardFile.read(ConfigText(text)) }

    /// With this one objection, and no other.
    private func expect(
        _ text: String, isRefusedAt place: ConfigPlace, _ words: String
    ) throws {
        let reading = read(text)
        #expect(reading.file == nil)
        #expect(reading.objections.count == 1, "\(reading.objections)")
        let objection = try #require(reading.objections.first)
        #expect(objection.place == place, "\(objection)")
        #expect(objection.reason.contains(words), "\(objection)")
    }

    @Test("everything that can be said is read")
    func everything() throws {
        let reading = read(
            """
            [device]
            path = 00:02.0/1.7
            id = 1AF4:1110
            subsystem = 1af4:1100
            serial = 00-11-22-33-44-55-66-AA
            bar = 2
            media = volatile
            side_effects = allowed
            [namespace]
            uuid = \(Self.uuid)
            name = scratch
            mode = fsdax
            map = mem
            bar = 2
            number = 3
            offset = 2M
            size = 1G
            mkfs = xfs
            """)
        #expect(reading.objections.isEmpty)
        let file = try #require(reading.file)
        #expect(file.card.path == "0000:00:02.0/01.7")
        #expect(file.card.id == PCIPair(vendor: 0x1af4, device: 0x1110))
        #expect(file.card.subsystem == PCIPair(vendor: 0x1af4, device: 0x1100))
        #expect(file.card.serial == "00-11-22-33-44-55-66-aa")
        #expect(file.bar == 2 && file.media == "volatile" && file.allowsSideEffects)
        let namespace = try #require(file.namespaces.first)
        #expect("\(namespace.uuid)" == Self.uuid)
        #expect(namespace.name == "scratch" && namespace.number == 3)
        #expect((namespace.offset, namespace.size) == (2 << 20, 1 << 30))
        #expect(namespace.makeFilesystem == "xfs")
        // What is written is what is read.
        #expect(read(file.text).file == file)
    }

    @Test("what is not said has its default")
    func defaults() throws {
        let file = try #require(
            read(Self.device + "[namespace]\nuuid = \(Self.uuid)\noffset = 0\nsize = 2M\n").file)
        #expect(file.bar == nil && file.media == "volatile" && !file.allowsSideEffects)
        let namespace = try #require(file.namespaces.first)
        #expect(namespace.mode == .fsdax && namespace.map == .mem && namespace.name.isEmpty)
        let raw = read(
            Self.device + "[namespace]\nuuid = \(Self.uuid)\nmode = raw\noffset = 0\nsize = 2M\n")
        #expect(raw.file?.namespaces.first?.map == .some(nil))
    }

    @Test(
        "what is wrong is told with its place, and then nothing is believed",
        arguments: [
            ("", 1, 1, "no [device]"),
            ("[device]\nbar = 2", 1, 1, "[device] has no id"),
            ("[device]\nid = 1af4", 2, 6, "expected 1af4:1110"),
            ("[device]\nid = 1af4:1110\npath = 00:02", 3, 8, "expected 0000:00:02.0/00.0"),
            ("[device]\nid = 1af4:1110\npath = 00:02.0/01:00.0", 3, 8, "expected"),
            ("[device]\nid = 1af4:1110\nserial = 00-11", 3, 10, "expected 00-11-22"),
            ("[device]\nid = 1af4:1110\nbar = 6", 3, 7, "from 0 to 5"),
            ("[device]\nid = 1af4:1110\nmedia = solid", 3, 9, "volatile or persistent"),
            ("[device]\nid = 1af4:1110\nbars = 2", 3, 1, "bars is unknown: [device] has path"),
            ("[device]\nid = 1af4:1110\n[devices]", 3, 1, "[devices] is unknown"),
            ("[device]\nid = 1af4:1110\n[device]\nid = 1af4:1111", 3, 1, "a second [device]"),
        ])
    func wrongDevices(text: String, line: Int, column: Int, words: String) throws {
        try expect(text, isRefusedAt: ConfigPlace(line: line, column: column), words)
    }

    @Test(
        "namespaces that cannot be are told with their place",
        arguments: [
            ("uuid = 12\noffset = 0\nsize = 2M", 5, 8, "a UUID"),
            ("offset = 0\nsize = 2M", 4, 1, "[namespace] has no uuid"),
            ("uuid = \(Self.uuid)\nsize = 2M", 4, 1, "[namespace] has no offset"),
            ("uuid = \(Self.uuid)\noffset = 0", 4, 1, "[namespace] has no size"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 3M", 7, 8, "size is a multiple of 2M: 4M?"),
            ("uuid = \(Self.uuid)\noffset = 1M\nsize = 2M", 6, 10, "a multiple of 2M: 2M?"),
            (
                "uuid = \(Self.uuid)\noffset = 0\nsize = 18446744073709551615", 7, 8,
                "a multiple of 2M: 17592186044414M?"
            ),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 0", 7, 8, "no bytes"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = much", 7, 8, "expected 256M"),
            ("uuid = \(Self.uuid)\noffset = 16777214T\nsize = 4T", 7, 8, "beyond 16 EiB"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nname = a/b", 8, 8, "letters, digits"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nname = iopmem1", 8, 8, "the kernel's"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nmode = dax", 8, 8, "fsdax, devdax"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nmode = raw\nmap = mem", 9, 7, "has none"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nnumber = 0", 8, 10, "from 1"),
            ("uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nmkfs = btrfs", 8, 8, "ext4 or xfs"),
            (
                "uuid = \(Self.uuid)\noffset = 0\nsize = 2M\nmode = devdax\nmkfs = xfs", 9, 8,
                "no disk"
            ),
        ])
    func wrongNamespaces(text: String, line: Int, column: Int, words: String) throws {
        try expect(
            Self.device + "[namespace]\n" + text,
            isRefusedAt: ConfigPlace(line: line, column: column), words)
    }

    @Test(
        "namespaces that exclude each other are refused",
        arguments: [
            ("uuid = \(Self.uuid)\noffset = 4M\nsize = 2M", "the same uuid"),
            (
                "uuid = \(NamespaceUUID.random())\nname = one\noffset = 4M\nsize = 2M",
                "the same name"
            ),
            ("uuid = \(NamespaceUUID.random())\nnumber = 1\noffset = 4M\nsize = 2M", "same number"),
            ("uuid = \(NamespaceUUID.random())\noffset = 2M\nsize = 2M", "some of the same bytes"),
        ])
    func clashes(second: String, words: String) throws {
        let first =
            "[namespace]\nuuid = \(Self.uuid)\nname = one\nnumber = 1\noffset = 0\nsize = 4M\n"
        let reading = read(Self.device + first + "[namespace]\n" + second)
        #expect(reading.objections.map(\.place.line) == [10])
        #expect(reading.objections.first?.reason.contains(words) == true)
        #expect(reading.objections.first?.reason.contains("line 4") == true)
    }

    @Test("a namespace is on one card, and mkfs never on memory that lasts")
    func togetherWrong() {
        let namespace = "[namespace]\nuuid = \(Self.uuid)\noffset = 0\nsize = 2M\n"
        let anywhere = read("[device]\nid = 1af4:1110\npath = 0000:*\n" + namespace)
        #expect(anywhere.objections.first?.reason.contains("several cards") == true)
        let bySerial = "[device]\nid = 1af4:1110\nserial = 00-11-22-33-44-55-66-77\n"
        #expect(read(bySerial + namespace).file != nil)
        let lasting = read(Self.device + "media = persistent\n" + namespace + "mkfs = ext4\n")
        #expect(lasting.objections.first?.reason.contains("persistent") == true)
        let otherBar = read(Self.device + "bar = 2\n" + namespace + "bar = 4\n")
        #expect(otherBar.objections.first?.reason.contains("only BAR 2") == true)
    }

    // MARK: - Cards

    static let card = CardIdentity(
        path: "0000:00:02.0/00.0", id: PCIPair(vendor: 0x1af4, device: 0x1110),
        subsystem: PCIPair(vendor: 0x1af4, device: 0x1100), serial: "00-11-22-33-44-55-66-77")

    @Test("a card is known by its place and ids, or anywhere by its serial number")
    func matches() {
        let pattern = CardPattern(Self.card)
        var moved = Self.card
        moved.path = "0000:00:03.0/00.0"
        var withoutSerial = CardPattern(Self.card)
        withoutSerial.serial = nil
        #expect(pattern.verdict(on: Self.card) == .match)
        #expect(pattern.verdict(on: moved) == .match)
        #expect(withoutSerial.verdict(on: Self.card) == .match)
        #expect(withoutSerial.verdict(on: moved) == .other)
        withoutSerial.path = "0000:00:0?.0/*"
        #expect(withoutSerial.verdict(on: moved) == .match)
    }

    @Test("another card in its place is an impostor, and elsewhere just another card")
    func impostors() {
        let pattern = CardPattern(Self.card)
        var other = Self.card
        other.serial = nil
        other.id.device = 0x1111
        guard case .impostor(let differences) = pattern.verdict(on: other) else {
            Issue.record("\(pattern.verdict(on: other))")
            return
        }
        #expect(
            differences == [
                "its id is 1af4:1111, and not 1af4:1110",
                "its serial number is missing, and not 00-11-22-33-44-55-66-77",
            ])
        other.path = "0000:00:03.0/00.0"
        #expect(pattern.verdict(on: other) == .other)
        var glob = pattern
        glob.path = "*"
        #expect(glob.verdict(on: other) == .other)
    }

    @Test("of cards with the same serial number only the one in its place is meant")
    func twins() {
        let pattern = CardPattern(Self.card)
        var other = Self.card
        other.path = "0000:00:03.0/00.0"
        #expect(pattern.verdict(on: Self.card, among: [Self.card, other]) == .match)
        #expect(pattern.verdict(on: other, among: [Self.card, other]) == .other)
        // Where it is not there, nobody can tell.
        var third = other
        third.path = "0000:00:04.0/00.0"
        #expect(pattern.verdict(on: other, among: [other]) == .match)
        for card in [other, third] {
            guard case .impostor(let reasons) = pattern.verdict(on: card, among: [other, third])
            else {
                Issue.record("\(card.path) is taken for the card")
                continue
            }
            #expect(reasons.first?.hasPrefix("2 cards have the serial number 00-11-22") == true)
        }
        // The functions of a card have one serial number.
        third.path = "0000:00:03.0/00.1"
        #expect(pattern.verdict(on: other, among: [other, third]) == .match)
        #expect(pattern.verdict(on: third, among: [other, third]) == .other)
        // A file about many says so.
        var glob = pattern
        (glob.path, glob.serial) = ("*", nil)
        #expect(glob.verdict(on: other, among: [other, third]) == .match)
    }

    // MARK: - Anything

    @Test("no text makes it fail, and what it believes can be written and read again")
    func anything() throws {
        var generator = SystemRandomNumberGenerator()
        let words = [
            "[device]", "[namespace]", "[", "]", "=", "\n", "\r\n", "\t", " ", "#", ";", "path",
            "id", "uuid", Self.uuid, "name", "offset", "size", "0", "2M", "1af4:1110", "é", "\0",
            "00:02.0", "raw", "mode", "mkfs", "ext4", "18446744073709551615", "16777215T", "*",
        ]
        var believed = 0
        for _ in 0..<6000 {
            var text = Self.device + "[namespace]\nuuid = \(Self.uuid)\noffset = 0\nsize = 2M\n"
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let at = text.indices.randomElement(using: &generator) ?? text.startIndex
                if Bool.random(using: &generator) {
                    text.insert(contentsOf: words.randomElement(using: &generator) ?? "", at: at)
                } else {
                    text.remove(at: at)
                }
            }
            var bytes = Array(text.utf8)
            if Int.random(in: 0..<8, using: &generator) == 0 {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
                    in: .min ... .max, using: &generator)
            }
            let reading = CardFile.read(ConfigText(bytes: bytes))
            #expect((reading.file == nil) == !reading.objections.isEmpty)
            for objection in reading.objections {
                #expect(objection.place.line > 0 && objection.place.column > 0)
            }
            guard let file = reading.file else { continue }
            believed += 1
            #expect(read(file.text).file == file, "\(text)")
        }
        #expect(believed > 60)
    }
}
