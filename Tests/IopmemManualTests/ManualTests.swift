// SPDX-License-Identifier: GPL-2.0
import Glibc
import Iopmem
import IopmemManual
import IopmemSystem
import Testing

/// The manual in man/ is that of the commands.
///
/// After a change of a command: IOPMEM_RECORD_SNAPSHOTS=1 swift test --filter ManualTests
@Suite("Manual")
struct ManualTests {
    private static let folder =
        String(#filePath.dropLast("Tests/IopmemManualTests/ManualTests.swift".count)) + "man"

    @Test("each command has its page, and none is left of others")
    func pages() throws {
        let pages = try Manual().pages
        let root = SystemRoot.machine
        if getenv("IOPMEM_RECORD_SNAPSHOTS") != nil {
            for page in pages {
                try TextFile.replace("\(Self.folder)/\(page.name)", with: page.text, root: root)
            }
        }
        let names = try root.entries(Self.folder).filter { $0.hasSuffix(".8") }
        #expect(names == pages.map(\.name).sorted())
        #expect(pages.count > 20)
        for page in pages {
            let kept = String(
                decoding: try root.bytes("\(Self.folder)/\(page.name)"), as: UTF8.self)
            #expect(kept == page.text, "\(page.name)")
        }
    }

    @Test("each page of a command that does something has examples and exit statuses")
    func sections() throws {
        for page in try Manual().pages {
            #expect(page.text.contains("\n.SH \"EXIT STATUS\"\n"), "\(page.name)")
            guard !page.text.contains("\n.SH \"COMMANDS\"\n") else { continue }
            #expect(page.text.contains("\n.SH \"EXAMPLES\"\n"), "\(page.name)")
            #expect(page.text.contains("\n.SH \"OPTIONS\"\n"), "\(page.name)")
        }
    }

    @Test("groff finds nothing to complain about, also in the page about files")
    func lint() throws {
        for name in try SystemRoot.machine.entries(Self.folder) {
            let outcome = try Program.run(
                "/usr/bin/groff", ["-ww", "-man", "-Tutf8", "-z", "\(Self.folder)/\(name)"])
            #expect(outcome.status == 0 && outcome.complaint.isEmpty, "\(name): \(outcome)")
        }
    }

    @Test("every status that an error has is explained")
    func statuses() {
        let explained = Set(ExitStatus.all.map(\.status))
        for code in IopmemError.Code.allCases {
            #expect(explained.contains(Int(IopmemError(code, "x").exitStatus)), "\(code)")
        }
    }
}
