// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

/// The text of configuration files.
@Suite("Configuration text")
struct ConfigTextTests {
    @Test("sections, settings and comments, with where they stand")
    func parts() throws {
        let text = ConfigText(
            """
            # a comment
            [device]
              path =  a = b
            ; another
            [namespace]
            \tsize=2M\t
            """)
        #expect(text.objections.isEmpty)
        #expect(text.sections.map(\.name) == ["device", "namespace"])
        #expect(text.sections.map(\.place.line) == [2, 5])
        let path = try #require(text.sections[0].settings.first)
        #expect((path.key, path.value) == ("path", "a = b"))
        #expect(path.place == ConfigPlace(line: 3, column: 3))
        #expect(path.valuePlace == ConfigPlace(line: 3, column: 11))
        let size = try #require(text.sections[1].settings.first)
        #expect((size.key, size.value) == ("size", "2M"))
    }

    @Test(
        "what cannot be understood is told with its place",
        arguments: [
            ("[device", 1, 8, "ends with ]"), ("[device] x", 1, 11, "ends with ]"),
            ("\n  nonsense", 2, 3, "no key = value"), ("a = 1", 1, 1, "before the first [section]"),
            ("[d]\na =", 2, 4, "no value"), ("[d]\nA = 1", 2, 1, "lower-case"),
            ("[d]\n = 1", 2, 2, "lower-case"), ("[d]\na = 1\na = 2", 3, 1, "already in line 2"),
            ("[d]\na = \u{1b}[31m", 2, 5, "control character"), ("[d]\r# x", 1, 4, "control"),
        ])
    func objections(text: String, line: Int, column: Int, words: String) throws {
        let found = ConfigText(text).objections
        #expect(found.count == 1)
        let objection = try #require(found.first)
        #expect(objection.place == ConfigPlace(line: line, column: column), "\(objection)")
        #expect(objection.reason.contains(words))
    }

    @Test("lines that end as on Windows are lines")
    func carriageReturns() {
        let text = ConfigText(bytes: Array("[d]\r\na = 1\r\n".utf8))
        #expect(text.objections.isEmpty)
        #expect(text.sections.first?.settings.first?.value == "1")
    }

    @Test("bytes that are no text are told with their place")
    func encoding() {
        let objections = ConfigText(bytes: Array("[d]\naé = ".utf8) + [0xff, 0x0a]).objections
        #expect(
            objections == [ConfigObjection(ConfigPlace(line: 2, column: 6), "this is not UTF-8")])
        #expect(
            ConfigText(bytes: [0xc3]).objections.first?.place == ConfigPlace(line: 1, column: 1))
    }

    @Test("a comment may say anything but be no text")
    func comments() {
        #expect(ConfigText("# [x = \u{1}\n;=\n").objections.isEmpty)
    }
}
