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

    /// The state is on a drive, which has a write cache of its own; the data on the card.
    @Test("what verify had promised by then is kept", arguments: Kernel.supported)
    func promises(on kernel: Kernel) async throws {
        let storage = try Storage.lasting("promises-\(kernel.series)")
        let topology = Topology(.card("card0", megabytes: 64), .nvme("nvme0"))
        func boot<Result: Sendable>(
            _ body: (Machine) async throws -> Result
        ) async throws -> Result {
            try await Machine.run(
                topology, kernel: kernel, name: "promises", storage: storage, body)
        }
        try await boot { machine in
            let namespace = try await machine.create(on: "card0", "--size max")
            try await machine.step("verify writes, and promises") {
                try await machine.guest.run(
                    """
                    \(FileSystem.ext4.mount(namespace.path, at: "/run/card"))
                    mkfs.ext4 -q -F /dev/nvme0n1
                    mkdir -p /run/drive
                    mount /dev/nvme0n1 /run/drive
                    setsid iopmemctl verify /run/card/data --size 16M --rw randwrite --loops 1000 \
                        --fsync 16 --state /run/drive/state -q >/dev/null 2>&1 &
                    until grep -q 'loop [1-9][0-9]* .* promised [0-9][0-9]' /run/drive/state 2>/dev/null
                    do
                        kill -0 $!
                        sleep 0.1
                    done
                    """, within: 300)
            }
            await machine.cutPower()
        }
        let verdict: Verified = try await boot { machine in
            let namespace = try await machine.create(on: "card0", "--size max --force")
            return try await machine.step("after the cut") {
                try await machine.guest.run(
                    """
                    mkdir -p /run/card /run/drive
                    mount -o dax=always \(namespace.path) /run/card
                    mount /dev/nvme0n1 /run/drive
                    iopmemctl verify /run/card/data --verify-only --state /run/drive/state -o json
                    """, within: 120
                ).json()
            }
        }
        #expect(verdict.verify.result == "pass")
        let promises = try #require(verdict.verify.promises)
        #expect(promises.loop >= 1)
        #expect(promises.promised > 0)
        #expect(promises.promised + promises.window == 4096)
        #expect(promises.kept == promises.promised)
        #expect(promises.broken == 0)
        #expect(promises.window_torn == 0)
        storage.remove()
    }
}
