// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import Glibc
import SystemPackage
import VMLab

/// Writes docs/tour.md: what a person sees who installs the packages and works with them.
struct Tour: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Record a person's tour of an installed system, with what every command said.",
        discussion: """
            Boots a Debian with the packages installed, types each command of the tour, and writes \
            down what came. Ends where a command does not end as the tour says.
            """)

    @Option(help: "The kernel series; see the kernels command.")
    var kernel = "6.1"

    @Option(help: ArgumentHelp("Write tour.md into this folder.", valueName: "folder"))
    var output: String?

    func validate() throws {
        if let output, access(output, W_OK) != 0 {
            throw ValidationError("There is no folder \(output) that can be written.")
        }
    }

    func run() async throws {
        let kernel = try Kernel.named(kernel)
        let storage = try Storage.lasting("tour")
        var text = Self.introduction
        for part in TourPlan.boots {
            text += try await Machine.run(
                TourPlan.topology, kernel: kernel, name: "tour", preparation: .installed,
                storage: storage
            ) { machine in
                try await machine.guest.run("systemctl is-system-running --wait", within: 300)
                let card = try await machine.function("card0").address
                var text = ""
                for chapter in part {
                    text += try await record(chapter, card, on: machine)
                }
                // What comes next is a boot.
                try await machine.guest.run("sync")
                return text
            }
        }
        storage.remove()
        guard let output else { return }
        try FilePath(output).appending("tour.md").write(text)
        Progress.say("written: \(output)/tour.md")
    }

    private static let introduction = """
        # A tour

        Made by `make tour`; do not edit. Each command was typed as it stands here, in a virtual machine
        that had booted a Debian 12 with the two packages installed (see README.md), and what it said is
        below it.

        """

    private func record(
        _ chapter: TourPlan.Chapter, _ card: String, on machine: Machine
    ) async throws -> String {
        let narrator = Narrator(steps: 0)
        narrator.say("\n\(chapter.title)")
        var text = "\n## \(chapter.title)\n\n\(chapter.text)\n\n```console\n"
        for step in chapter.steps {
            switch step {
            case .type(let command, let status):
                let line = command.replacing("CARD", with: card)
                let outcome = try await machine.guest.run(
                    "exec 2>&1\n\(line)", status: status, within: 200)
                narrator.command(line)
                narrator.output(outcome.output)
                text += "# \(line)\n"
                if !outcome.output.isEmpty { text += "\(outcome.output)\n" }
                if status != 0 { text += "# echo $?\n\(status)\n" }
            case .unplug:
                try await machine.qmp.unplug("card0")
            case .plug:
                try await machine.plug(card: "card0", into: "slot0")
            }
        }
        return text + "```\n"
    }
}

/// What is done on the tour.
enum TourPlan {
    /// Something that somebody does.
    enum Step: Sendable {
        /// Types a command, which ends with this status. CARD stands for the card's address.
        case type(String, Int = 0)
        /// Pulls the card out.
        case unplug
        /// Puts it in again.
        case plug
    }

    /// Steps that belong together.
    struct Chapter: Sendable {
        let title: String
        let text: String
        let steps: [Step]
    }

    static let topology = Topology(
        .rootPort("slot0", reserve: 256, child: .card("card0", megabytes: 128)))

    /// The machine is booted anew before each.
    static let boots: [[Chapter]] = [
        [look, make, prove, replug, lend], [reboot, mistakes, remove],
    ]

    private static let look = Chapter(
        title: "What is there",
        text: """
            Nothing is bound before somebody says so. `devices` shows which memory BARs could be used,
            and why others could not; `doctor`, what would stand in the way.
            """,
        steps: [
            .type("dpkg-query -W 'iopmem-*'"), .type("modinfo --field=filename iopmem"),
            .type("iopmemctl devices CARD"), .type("iopmemctl doctor CARD"),
        ])

    private static let make = Chapter(
        title: "A namespace that stays",
        text: """
            `--persist` writes down what shall be there after the next boot. The file system needs blocks
            of a page's size for DAX.
            """,
        steps: [
            .type("iopmemctl bind CARD --persist"),
            .type("iopmemctl list --capabilities"),
            .type("iopmemctl create --device CARD --size 96M --name scratch --persist --dry-run"),
            .type("iopmemctl create --device CARD --size 96M --name scratch --persist"),
            .type("cat /etc/iopmem/CARD.conf"),
            .type("mkfs.ext4 -q -b 4096 /dev/iopmem/by-name/scratch"),
            .type("mkdir /srv/scratch"),
            .type(
                "echo '/dev/iopmem/by-name/scratch /srv/scratch ext4"
                    + " dax=always,nofail,x-systemd.requires=iopmem-restore.service 0 0'"
                    + " >>/etc/fstab"),
            .type("systemctl daemon-reload && mount /srv/scratch"),
            .type("iopmemctl list"),
        ])

    private static let prove = Chapter(
        title: "Is it right, and is it direct?",
        text: """
            `verify` writes blocks with checksums and reads them back, and looks up each page of the
            file: it must be in the BAR, where the file system says that it is.
            """,
        steps: [
            .type("iopmemctl verify /srv/scratch/check --size 8M"),
            .type("seq 100000 >/srv/scratch/numbers && sync /srv/scratch/numbers"),
        ])

    private static let replug = Chapter(
        title: "The card is pulled out, and put in again",
        text: """
            While it is mounted. systemd unmounts what was on it; when the card is back, udev and systemd
            bring its namespaces back, with what had been synced.
            """,
        steps: [
            .unplug,
            .type("iopmemctl list"),
            .type("findmnt /srv/scratch || echo it is not mounted"),
            .plug,
            .type("iopmemctl wait scratch --timeout 120"),
            .type("mount /srv/scratch && seq 100000 | cmp - /srv/scratch/numbers && echo the same"),
            .type("journalctl --no-pager -o cat -t iopmemctl"),
        ])

    private static let lend = Chapter(
        title: "For other machines",
        text: """
            `share` exports a namespace by the kernel's NVMe target, over TCP, and writes that down. Who
            else may connect has to be said; without a word it is this machine alone.
            """,
        steps: [
            .type("iopmemctl create --device CARD --size 16M --mode raw --name lent --persist"),
            .type("iopmemctl share lent"),
            .type("iopmemctl destroy lent --yes", 4),
        ])

    private static let reboot = Chapter(
        title: "After a reboot",
        text: "Nobody has typed anything yet: it is there, and mounted; and what was lent is lent.",
        steps: [
            .type("findmnt /srv/scratch"),
            .type("seq 100000 | cmp - /srv/scratch/numbers && echo the same"),
            .type("iopmemctl list"),
            .type("iopmemctl share"),
        ])

    private static let mistakes = Chapter(
        title: "Things that go wrong",
        text: "Every refusal says what, on which object, why, and what to do; and changes nothing.",
        steps: [
            .type("iopmemctl destroy scratch --yes", 4),
            .type("iopmemctl unbind CARD", 4),
            .type("iopmemctl create --device CARD --size 1T", 1),
            .type("iopmemctl create --device CARD --size 3M --dry-run", 1),
            .type("iopmemctl create --device CARD --mode p2pdma", 6),
            .type("iopmemctl bind 00:1f.9", 64),
            .type("iopmemctl list nosuch", 3),
            .type("sed -i 's/^mode = fsdax/mode = fastdax/' /etc/iopmem/CARD.conf"),
            .type("iopmemctl config check", 1),
            .type("sed -i 's/^mode = fastdax/mode = fsdax/' /etc/iopmem/CARD.conf"),
            .type(
                "umount /srv/scratch && mount -o dax=never /dev/iopmem/by-name/scratch /srv/scratch"
            ),
            .type("iopmemctl doctor CARD", 1),
        ])

    private static let remove = Chapter(
        title: "Away with it",
        text: "What is destroyed does not come back, and the card is free for its own driver.",
        steps: [
            .type("iopmemctl unshare lent"),
            .type("iopmemctl destroy lent --yes"),
            .type("umount /srv/scratch"),
            .type("iopmemctl destroy scratch --yes", 1),
            .type("iopmemctl destroy scratch --yes --force"),
            .type("iopmemctl unbind CARD"),
            .type("rm /etc/iopmem/CARD.conf"),
            .type("iopmemctl list"),
        ])
}
