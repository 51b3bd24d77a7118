// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// The order in which writes and flushes come to a namespace, written down by dm-log-writes and
/// replayed up to every point at which power might have failed.
///
///     card0   512 MiB ─┬─ original   ext4 on dm-log-writes
///                      ├─ log        what came to it, in the order of its being durable
///                      ├─ replayed   the original, as of a flush
///                      └─ changes    what a mount writes, so that the replay stays as it is
///
/// Without DAX: dm-log-writes lets a file system map the namespace, and sees no store to a mapping.
@Suite("Write order")
struct WriteOrderTests {
    static let topology = Topology(.card("card0", megabytes: 512))

    /// Seconds of writing, and flushes that a slow machine may take longer for.
    private static let seconds = 3
    private static let flushes = 200
    /// The replays that are looked at.
    private static let looks = 5

    /// One entry of the log that a power cut could come after.
    private struct Stop {
        /// Its number in the log.
        let entry: Int
        /// The last durable record of each writer by then, as `records check` takes it.
        let claims: [String]
    }

    @Test(
        "after each flush, the file system is whole and every synced record is there",
        arguments: Kernel.supported)
    func replays(on kernel: Kernel) async throws {
        let seed = UInt64.random(in: 0...UInt64(UInt32.max))
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let original = try await machine.create(on: "card0", "--size 32M")
            let log = try await machine.create(on: "card0", "--size 256M --mode raw")
            let replayed = try await machine.create(on: "card0", "--size 32M")
            let changes = try await machine.create(on: "card0", "--size 32M --mode raw")
            let flushes = try await machine.step("write, with seed \(seed)") {
                try await write(to: original, log: log, copy: replayed, seed: seed, machine)
            }
            let list = try await guest.run("iopmem-guest replay list \(log.path)").output
            let stops = try stops(in: list)
            // Each of them came to the driver as a flush before it came to the log.
            #expect(flushes >= stops.count, "\(flushes) flushes, and \(stops.count) in the log")
            var next = 0
            for number in 1...Self.looks {
                let stop = stops[(stops.count - 1) * number / Self.looks]
                try await machine.step("power fails after entry \(stop.entry)") {
                    try await guest.run(
                        "iopmem-guest replay apply \(log.path) \(replayed.path)"
                            + " \(next) \(stop.entry + 1)")
                    next = stop.entry + 1
                    try await guest.run(
                        look(at: replayed, changes, "\(seed) \(stop.claims.joined(separator: " "))")
                    )
                }
                if number == 1, let last = stops.last {
                    try #require(last.claims != stop.claims, "nothing was durable after it")
                    // What was not yet there must be missed, or the look sees nothing.
                    try await guest.run(
                        look(
                            at: replayed, changes, "\(seed) \(last.claims.joined(separator: " "))"),
                        status: 3)
                }
            }
        }
    }

    /// Writes records, each with a mark in the log when it is durable.
    ///
    /// - Returns: The flushes that the driver has counted meanwhile.
    private func write(
        to original: Namespace, log: Namespace, copy: Namespace, seed: UInt64, _ machine: Machine
    ) async throws -> Int {
        let writers = ["append", "create", "slots", "map"].map { "\($0):/run/files/records" }
        let flushes = try await machine.guest.run(
            """
            modprobe dm-log-writes
            mkfs.ext4 -q -b 4096 -J size=4 -E nodiscard,lazy_itable_init=0 \(original.path)
            dd if=\(original.path) of=\(copy.path) bs=1M oflag=direct status=none
            counter=/sys/class/iopmem/\(original.dev)/flushes
            before=$(cat $counter)
            echo "0 $(blockdev --getsz \(original.path)) log-writes \(original.path) \(log.path)" |
                dmsetup create logged
            mkdir -p /run/files
            mount /dev/mapper/logged /run/files
            setsid iopmem-guest records write dm:logged \(seed) \(writers.joined(separator: " ")) &
            writer=$!
            sleep \(Self.seconds)
            until [ $(($(cat $counter) - before)) -ge \(Self.flushes) ]; do
                kill -0 $writer
                sleep 0.1
            done
            kill -- -$writer
            wait $writer || [ $? -eq 143 ]
            while pgrep -x iopmem-guest >/dev/null; do sleep 0.1; done
            umount /run/files
            # It says so where its log has become full.
            if dmsetup status logged | grep logging_disabled; then exit 1; fi
            dmsetup remove --retry logged
            echo $(($(cat $counter) - before))
            """, within: 300
        ).output
        return try #require(Int(flushes))
    }

    /// The flushes and FUA writes in the log, each with what was durable by then.
    private func stops(in list: String) throws -> [Stop] {
        var stops: [Stop] = []
        var claims: [String: Substring] = [:]
        for line in list.split(separator: "\n") {
            let words = line.split(separator: " ")
            let entry = try #require(Int(words[0]))
            if words[1] == "mark" {
                guard words.count == 3, let colon = words[2].lastIndex(of: ":") else { continue }
                let writer = String(words[2][..<colon])
                try #require(!writer.hasPrefix("failed"), "a writer could not go on: \(line)")
                claims[writer] = words[2][colon...]
            } else if words[1] != "write", !claims.isEmpty {
                stops.append(Stop(entry: entry, claims: claims.map { $0.key + $0.value }.sorted()))
            }
        }
        try #require(stops.count >= Self.looks, "the log has only \(stops.count) flushes")
        return stops
    }

    /// Mounts what is there after a cut, which replays the journal, and looks at it. Exits with 3 if a
    /// record is missed, and with something else if anything else is wrong.
    private func look(at replayed: Namespace, _ changes: Namespace, _ records: String) -> String {
        """
        echo "0 $(blockdev --getsz \(replayed.path)) snapshot \(replayed.path) \(changes.path) N 8" |
            dmsetup create looked || exit 1
        mount /dev/mapper/looked /run/files || exit 2
        iopmem-guest records check \(records) || status=3
        umount /run/files || exit 4
        fsck.ext4 -fn /dev/mapper/looked >&2 || status=5
        dmsetup remove --retry looked || exit 6
        exit ${status:-0}
        """
    }
}
