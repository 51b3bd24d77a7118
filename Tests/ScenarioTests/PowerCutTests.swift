// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Losing power while files are written and synced. `make soak` does the same for longer.
///
///     card0   256 MiB of persistent memory ─┬─ ext4 -o dax
///                                           └─ xfs  -o dax
@Suite("Power cuts")
struct PowerCutTests {
    @Test(
        "what was synced is there, and the file systems are clean", arguments: Kernel.supported)
    func syncedRecords(on kernel: Kernel) async throws {
        let seed = UInt64.random(in: 0...UInt64(UInt32.max))
        let figures = try await PowerCuts(kernel: kernel, seed: seed).run(cuts: 2)
        #expect(figures.survived == 2)
        #expect(figures.replayed == 4)
        // Ten writers, each with one record at least before each cut, and those of the first cut twice.
        #expect(figures.reported >= 20)
        #expect(figures.checked >= 30)
    }
}
