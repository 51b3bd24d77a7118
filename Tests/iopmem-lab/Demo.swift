// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import VMLab

/// Shows the main job to somebody who has never seen it.
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a drive moving data into a card's memory, step by step, with the proof.")

    @Option(help: "The kernel series; see the kernels command.")
    var kernel = "7.2"

    func run() async throws {
        let kernel = try Kernel.named(kernel)
        let story = DemoStory()
        story.introduce(kernel)
        let holds = try await Machine.run(DemoStory.topology, kernel: kernel, name: "demo") {
            [story] machine in
            var story = story
            try await story.tell(on: machine)
            return story.conclude()
        }
        if !holds { throw ExitCode.failure }
    }
}

/// The steps of the demonstration. What it finds goes into the summary as it is.
private struct DemoStory {
    static let topology = Topology(.switch("sw0", .card("card0", megabytes: 256), .nvme("nvme0")))
    /// Bytes of each direct transfer.
    private static let length = 16 << 20

    private var narrator = Narrator(steps: 9)
    private var summary: [(claim: String, holds: Bool)] = []

    func introduce(_ kernel: Kernel) {
        narrator.say(
            """
            iopmem: PCIe memory as DAX block devices

            A virtual machine (QEMU, Linux \(kernel.series)) with a simulated PCIe memory card:

                CPU + RAM ─── root port ─── switch ─┬─ card0   256 MiB of memory behind BAR 2
                                                    └─ nvme0   an ordinary NVMe drive

            The job: data goes from the drive into a file on the card, and back, by the drive's own
            DMA. It must not pass through RAM. Booting takes a few seconds.
            """)
    }

    mutating func tell(on machine: Machine) async throws {
        let card = try await machine.function("card0")
        guard let bar = card.bars[2] else { throw LabError("card0 has no BAR 2") }
        let address = card.address

        narrator.begin(
            "Find the device", "Any PCI function with a large enough memory BAR will do.")
        try await machine.guest.run("modprobe iopmem")
        let devices = try await show("iopmemctl devices \(address)", machine)
        check("the card is found, and its memory BAR is eligible", devices.contains("eligible"))

        narrator.begin("Bind it", "The driver takes no device unless it is told to.")
        try await show("iopmemctl bind \(address)", machine, quiet: true)
        let claims = try await machine.guest.run("grep -m1 -A1 '\(address)' /proc/iomem").output
        narrator.output(claims)
        check("the whole BAR is claimed by iopmem", claims.contains("iopmem"))

        narrator.begin("Create a namespace", "A slice of the BAR becomes a block device.")
        let created = try await show("iopmemctl create --device \(address) --name demo", machine)
        check("the namespace is there: /dev/iopmem0n1", created.contains("/dev/iopmem0n1"))

        narrator.begin(
            "Make a file system", "Blocks of 4 KiB, the size of a page, so that it can map them.")
        try await show("mkfs.ext4 -q -b 4096 /dev/iopmem0n1", machine)

        narrator.begin(
            "Mount it with DAX",
            "Files are then mapped straight from the card, without a page cache.")
        try await show(
            "mkdir -p /run/demo && mount -o dax=always /dev/iopmem0n1 /run/demo", machine)
        try await show("iopmemctl list", machine)

        narrator.begin(
            "Verify data and placement",
            """
            Checksummed blocks are written and read back; then each page of the file is looked up:
            is it in the BAR, where the file system says it is?
            """)
        try await verify(machine)

        try await transfer(
            .into, "The drive writes into the card",
            "One O_DIRECT read of the drive; its target is the mapped file.",
            machine, bar: bar)
        try await transfer(
            .outOf, "The drive reads from the card",
            "One O_DIRECT write to the drive; its source is the mapped file.",
            machine, bar: bar)

        narrator.begin("Clean up", "Everything can be undone, and the device is free again.")
        try await show("umount /run/demo", machine)
        try await show("iopmemctl destroy demo --yes --force", machine, quiet: true)
        try await show("iopmemctl unbind \(address)", machine, quiet: true)
        let left = try await machine.guest.run("grep -c iopmem /proc/iomem", status: nil).output
        check("nothing is left behind", left == "0")
    }

    private mutating func verify(_ machine: Machine) async throws {
        let command = "iopmemctl verify /run/demo/data --size 16M --peer /dev/nvme0n1"
        try await show(command, machine)
        let verdict: DemoVerdict = try await machine.guest.run(command + " -o json").json()
        let placement = verdict.verify.placement
        check(
            "\(verdict.verify.blocks_verified) blocks verified, \(verdict.verify.mismatches.count) wrong",
            verdict.verify.result == "pass" && verdict.verify.blocks_verified > 0
                && verdict.verify.mismatches.isEmpty)
        check(
            "\(placement.pages_in_bar) of \(placement.pages_checked) pages of the file are the card's",
            placement.pages_checked > 0 && placement.pages_in_bar == placement.pages_checked)
    }

    private enum Direction: String {
        case into = "in"
        case outOf = "out"
    }

    private mutating func transfer(
        _ direction: Direction, _ title: String, _ purpose: String, _ machine: Machine,
        bar: Range<UInt64>
    ) async throws {
        let file = "/run/demo/transfer"
        let drive = machine.storage.drive("nvme0")
        narrator.begin(
            title, purpose + "\nQEMU records every address to which its NVMe controller does DMA.")
        if direction == .into {
            try await machine.guest.run("fallocate -l \(Self.length) \(file)")
        } else {
            // Other bytes than the drive has, or nothing would be seen to change.
            try await machine.guest.run(
                "tr '\\000-\\377' '\\001-\\377\\000' <\(file) >\(file).new"
                    + " && dd if=\(file).new of=\(file) bs=1M conv=notrunc,fsync status=none")
        }
        let script =
            "iopmem-guest transfer \(direction.rawValue) /dev/nvme0n1 \(file) \(Self.length)"
        narrator.command(script)
        let trace = try await machine.transfer(script)
        let asked = direction == .into ? trace.bytesRead : trace.bytesWritten
        narrator.output(
            """
            bytes asked of the drive          \(Self.aligned(asked))
            bytes that went through the BAR   \(Self.aligned(trace.bytes(in: bar)))
            bytes that went through RAM       \(Self.aligned(trace.bytes(outside: bar)))
            """)
        check(
            "\(direction == .into ? "drive → card" : "card → drive"): \(asked >> 20) MiB,"
                + " \(trace.bytes(in: bar) >> 20) MiB by the BAR,"
                + " \(trace.bytes(outside: bar)) bytes through RAM",
            asked == Self.length && trace.bytes(in: bar) == asked && trace.bytes(outside: bar) == 0)
        let onCard = try await machine.bytesOnCard(
            ofFile: file, count: Self.length, card: "card0", start: 0)
        let onDrive = try Storage.bytes(of: drive, offset: 0, count: Self.length)
        check("the host finds the same bytes on the card and on the drive", onCard == onDrive)
    }

    /// The verdict; true if all of it holds.
    func conclude() -> Bool {
        let holds = !summary.isEmpty && summary.allSatisfy(\.holds)
        narrator.say()
        narrator.say("Summary")
        for line in summary { narrator.finding(line.claim, line.holds) }
        narrator.say()
        narrator.say(
            holds
                ? """
                All of it holds: the drive and the card exchanged data directly, and the RAM was not in
                the way. The byte counts are QEMU's own; nothing in the virtual machine can change them.
                Try it yourself: make shell
                """
                : "Not all of it holds: see the lines marked ✘.")
        return holds
    }

    private mutating func check(_ claim: String, _ holds: Bool) {
        narrator.finding(claim, holds)
        summary.append((claim, holds))
    }

    /// Runs a command as the user would and shows what it says.
    @discardableResult
    private func show(_ command: String, _ machine: Machine, quiet: Bool = false) async throws
        -> String
    {
        narrator.command(command)
        let outcome = try await machine.guest.run(command)
        if !quiet { narrator.output(outcome.output) }
        narrator.output(outcome.errors)
        return outcome.output
    }

    private static func aligned(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: " ", count: max(0, 12 - digits.count)) + digits
    }
}

/// What `iopmemctl verify -o json` prints; what the demonstration counts.
private struct DemoVerdict: Decodable {
    let verify: Verdict

    struct Verdict: Decodable {
        let result: String
        let blocks_verified: Int
        let mismatches: [JSONValue]
        let placement: Placement
    }

    struct Placement: Decodable {
        let pages_checked: Int
        let pages_in_bar: Int
    }
}
