// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem
import Support
import Testing

@testable import IopmemCommands

/// What shells offer; that they ask for it is tested where the tool is installed (install.sh).
@Suite("Completion")
struct CompletionTests {
    @Test("functions are offered with what they are, in the form of each shell")
    func functions() throws {
        let host = try SimulatedHost(.twoCards)
        let offers = Offer.functions(host) { $0.bars.contains { $0.size == 256 << 20 } }
        #expect(offers.map(\.word) == ["0000:00:10.0"])
        let offer = Offer(word: "0000:00:10.0", meaning: "a card: large")
        #expect(offer.text(for: .bash) == "0000:00:10.0")
        #expect(offer.text(for: .zsh) == #"0000\:00\:10.0:a card: large"#)
        #expect(offer.text(for: .fish) == "0000:00:10.0\ta card: large")
        #expect(offer.text(for: nil) == "0000:00:10.0")
    }

    @Test("namespaces are offered by the names that people gave them, or else the kernel's")
    func namespaces() throws {
        let offers = Offer.namespaces(try SimulatedHost(.mounted))
        #expect(offers.map(\.word) == ["scratch", "iopmem0n2"])
        #expect(offers[0].meaning == "iopmem0n1, fsdax, 64 MiB, on 0000:03:00.0")
    }

    @Test("a machine that has nothing offers nothing")
    func nothing() throws {
        #expect(Offer.namespaces(try SimulatedHost(.twoCards)).isEmpty)
    }

    @Test(
        "each shell gets a script, bash one that knows words with colons",
        arguments: ["bash", "zsh", "fish"])
    func scripts(shell: String) throws {
        let session = try Session(.twoCards).run("--generate-completion-script \(shell)")
        #expect(session.status == 0)
        #expect(session.output.contains("_iopmemctl"))
        #expect(session.output.contains("_iopmemctl_with_colons") == (shell == "bash"))
        #expect(session.output.hasSuffix("\n"))
        let other = try Session(.twoCards).run("--generate-completion-script=\(shell)")
        #expect(other.output == session.output)
    }

    @Test("a shell that is not known is wrong usage")
    func unknownShell() throws {
        #expect(try Session(.twoCards).run("--generate-completion-script tcsh").status == 64)
    }
}
