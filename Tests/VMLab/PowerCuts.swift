// SPDX-License-Identifier: GPL-2.0

/// Cuts the power of a machine again and again while it writes and syncs, and looks after each cut
/// whether everything that had been reported as durable is there.
///
///     card0   256 MiB, a file on the host ─┬─ labels        a namespace comes and goes all the time
///                                          ├─ ext4 -o dax   five writers, see records.c
///                                          └─ xfs  -o dax   five writers
///     iopmem.ledger                            a line for each record, after its sync
///
/// What is looked at: the labels are whole and bring both namespaces back as they were, both file
/// systems mount (that replays their journals), `fsck` finds nothing to mend then, and each record
/// that the ledger names has its bytes. The ledger is outside: a line in it survives the machine.
///
/// Each machine is the judge of the cut before and the victim of the next one.
public struct PowerCuts: Sendable {
    /// What came of it.
    public struct Figures: Sendable {
        /// Cuts after which everything was there.
        public var survived = 0
        /// Records that had been reported as durable when the power went.
        public var reported = 0
        /// Comparisons of a record with what it must be: those of the last two cuts, each time.
        public var checked = 0
        /// Journals that had to be replayed.
        public var replayed = 0

        /// No cuts yet.
        public init() {}

        /// The sums of two.
        public static func + (a: Figures, b: Figures) -> Figures {
            var sum = a
            sum.survived += b.survived
            sum.reported += b.reported
            sum.checked += b.checked
            sum.replayed += b.replayed
            return sum
        }
    }

    /// One cut, and what was found after it.
    public struct Cut: Sendable {
        /// From 1.
        public let number: Int
        /// Seconds from the moment when every writer was at work to the cut.
        public let delay: Double
        /// As in ``Figures``, of this one.
        public let figures: Figures
    }

    private static let topology = Topology(.card("card0", megabytes: 256)).withLedger()
    private static let writers = ["append", "create", "slots", "map", "sync"]
    /// Generations of records that stay: those that are looked at.
    private static let kept = 2
    /// The longest time from the moment when all writers are at work to a cut, in milliseconds.
    private static let longestDelay = 3000

    private let kernel: Kernel
    private let seed: UInt64

    /// - Parameters:
    ///   - seed: Decides on the moments of the cuts and on the records' contents.
    public init(kernel: Kernel, seed: UInt64) {
        self.kernel = kernel
        self.seed = seed
    }

    /// Cuts the power this often, and boots once more after the last cut.
    ///
    /// - Parameter report: Told of each cut once its consequences have been looked at.
    public func run(
        cuts: Int, report: @Sendable (Cut) -> Void = { _ in }
    ) async throws -> Figures {
        let storage = try Storage.lasting("power-cuts-\(kernel.series)")
        var figures = Figures()
        var generations: [Generation] = []
        var delay = 0.0
        var identity: String?
        for number in 0...cuts {
            let before = generations
            let next = number < cuts ? Generation(number: number, seed: seed) : nil
            let outcome: Life
            do {
                outcome = try await life(after: before, next: next, storage: storage)
                guard identity == nil || outcome.identity == identity else {
                    throw LabError(
                        "the labels brought other namespaces back",
                        evidence: "before: \(identity ?? "")\nnow: \(outcome.identity)")
                }
                identity = outcome.identity
            } catch {
                throw LabError(
                    "\(error)",
                    remedy: "this was after cut \(number) of Linux \(kernel.series), seed \(seed); "
                        + "the card's memory and the ledger are in \(storage.folder)")
            }
            if number > 0 {
                report(Cut(number: number, delay: delay, figures: outcome.found))
                figures = figures + outcome.found
            }
            guard var written = next else { break }
            written.counts = try Self.ledger(storage, of: written)
            delay = outcome.delay
            generations = Array((generations + [written]).suffix(Self.kept))
        }
        storage.remove()
        return figures
    }

    /// What is known of a machine when it is over.
    private struct Life: Sendable {
        var found = Figures()
        /// The namespaces' names, UUIDs and places, as text.
        var identity = ""
        /// Seconds.
        var delay = 0.0
    }

    /// One machine: boots, looks at what the last one left, writes, and loses its power.
    private func life(
        after generations: [Generation], next: Generation?, storage: Storage
    ) async throws -> Life {
        try await Machine.run(
            Self.topology, kernel: kernel, name: "power-cuts", storage: storage
        ) { machine in
            let card = try await machine.function("card0").address
            var life = Life()
            if let last = generations.last {
                try await machine.step("after cut \(last.number + 1)") {
                    try await machine.guest.run(Self.comeBack(card), within: 300)
                    life.found = try await examine(machine, generations)
                }
            } else {
                try await machine.guest.run(Self.begin(card), within: 300)
            }
            life.identity = try await machine.guest.run(Self.identity).output
            guard let next else {
                try await machine.guest.run("umount /run/ext4 /run/xfs")
                return life
            }
            try await machine.guest.run(Self.load(next, card))
            try await Self.waitUntilAllWrite(next, storage, machine)
            try await machine.guest.run(
                "until [ -e /sys/class/iopmem/iopmem0n3 ]; do sleep 0.1; done")
            var generator = SplitMix(state: next.seed)
            let milliseconds = Int.random(in: 0...Self.longestDelay, using: &generator)
            // Not a wait for something: the moment itself is what is being chosen.
            try await Task.sleep(for: .milliseconds(milliseconds))
            await machine.cutPower()
            life.delay = Double(milliseconds) / 1000
            return life
        }
    }

    // MARK: - In the guest

    private static let mounts = """
        for fs in ext4 xfs; do
            [ $fs = ext4 ] && node=/dev/iopmem0n1 || node=/dev/iopmem0n2
            mkdir -p /run/$fs && mount -o dax=always $node /run/$fs || exit 1
        done
        """

    /// Namespaces and file systems on an empty card.
    private static func begin(_ card: String) -> String {
        """
        modprobe iopmem
        iopmemctl bind \(card) --media persistent --quiet >/dev/null
        iopmemctl labels init \(card) --quiet >/dev/null
        iopmemctl create --device \(card) --size 120M --name ext4 --persist --quiet >/dev/null
        iopmemctl create --device \(card) --size 120M --name xfs --persist --quiet >/dev/null
        mkfs.ext4 -q -b 4096 /dev/iopmem0n1
        mkfs.xfs -q --unsupported -m reflink=0 /dev/iopmem0n2
        \(mounts)
        """
    }

    /// The same namespaces on the same card, and what is on them.
    private static func comeBack(_ card: String) -> String {
        """
        modprobe iopmem
        iopmemctl bind \(card) --media persistent --quiet >/dev/null
        iopmemctl restore \(card) --quiet >/dev/null
        iopmemctl labels check \(card)
        \(mounts)
        # Now the journals are replayed, and nothing may be left to mend.
        umount /run/ext4 /run/xfs
        fsck.ext4 -fn /dev/iopmem0n1 || exit 1
        xfs_repair -n /dev/iopmem0n2 2>&1 || exit 1
        if dmesg | grep -E 'EXT4-fs (error|warning) |XFS .*([Cc]orrupt|[Ee]rror)'; then
            exit 1
        fi
        \(mounts)
        """
    }

    /// What must be the same for ever: one line for each namespace.
    private static let identity = """
        for dev in iopmem0n1 iopmem0n2; do
            (cd /sys/class/iopmem/$dev && echo $dev $(cat uuid name offset size))
        done
        """

    /// Writers of labels and of records, which go on until the power is cut.
    private static func load(_ next: Generation, _ card: String) -> String {
        """
        for fs in ext4 xfs; do rm -rf /run/$fs/g\(next.number - kept); done
        # One against ten writers of records, and a program that takes its time to start.
        setsid nice -n -15 bash -c 'while :; do
            iopmemctl destroy passing --yes --quiet
            iopmemctl create --device \(card) --size max --mode raw --name passing --persist --quiet
        done' >/run/labels.log 2>&1 &
        setsid iopmem-guest records write /dev/virtio-ports/iopmem.ledger \
        \(next.seed) \(next.writers.joined(separator: " ")) >/run/records.log 2>&1 &
        """
    }

    private func examine(_ machine: Machine, _ generations: [Generation]) async throws -> Figures {
        var found = Figures()
        for generation in generations {
            let claims = generation.counts.map { "\($0.key):\($0.value)" }.sorted()
            let said = try await machine.guest.run(
                "iopmem-guest records check \(generation.seed) \(claims.joined(separator: " "))",
                within: 180)
            guard let checked = Int(said.output) else {
                throw LabError("records check printed no number", evidence: said.output)
            }
            found.checked += checked
        }
        let log = try await machine.guest.run("dmesg").output
        for sign in ["EXT4-fs (iopmem0n1): recovery complete", "Starting recovery"] {
            // A cut that left nothing to replay came upon a machine that did nothing.
            guard log.contains(sign) else {
                throw LabError("no journal was replayed: the kernel did not say “\(sign)”")
            }
            found.replayed += 1
        }
        found.reported = generations.last?.counts.values.reduce(0, +) ?? 0
        found.survived = 1
        return found
    }

    // MARK: - The ledger

    /// What is written between two cuts.
    private struct Generation: Sendable {
        let number: Int
        let seed: UInt64
        /// The number of the last durable record by writer, as in `append:/run/ext4/g3`.
        var counts: [String: Int] = [:]

        init(number: Int, seed: UInt64) {
            self.number = number
            var generator = SplitMix(state: seed &+ UInt64(number))
            self.seed = generator.next()
        }

        var writers: [String] {
            ["ext4", "xfs"].flatMap { fileSystem in
                PowerCuts.writers.map { "\($0):/run/\(fileSystem)/g\(number)" }
            }
        }
    }

    /// The last number of each writer. The last line may be half a line: it then counts for nothing.
    private static func ledger(
        _ storage: Storage, of generation: Generation
    ) throws -> [String: Int] {
        let text = try Files.text(storage.ledger)
        var counts: [String: Int] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            guard let colon = line.lastIndex(of: ":"),
                let number = Int(line[line.index(after: colon)...])
            else { throw LabError("a writer could not go on: \(line)") }
            counts[String(line[..<colon])] = number
        }
        return counts
    }

    private static func waitUntilAllWrite(
        _ generation: Generation, _ storage: Storage, _ machine: Machine
    ) async throws {
        let start = ContinuousClock.now
        while true {
            let counts = try ledger(storage, of: generation)
            let missing = generation.writers.filter { counts[$0] == nil }
            if missing.isEmpty { return }
            if ContinuousClock.now - start > .seconds(120) {
                throw LabError(
                    "no record within 120 s from \(missing.joined(separator: ", "))",
                    evidence: try await machine.guest.run("cat /run/records.log").output)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// Random numbers that a seed decides, after the published splitmix64.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
