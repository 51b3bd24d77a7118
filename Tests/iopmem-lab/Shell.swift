// SPDX-License-Identifier: GPL-2.0

import ArgumentParser
import VMLab

/// Opens the lab to people.
struct Shell: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Boot a machine with a memory card and a drive, and give a prompt in it.")

    @OptionGroup var machine: MachineOptions

    func run() async throws {
        let kernel = try machine.kernels()[0]
        Progress.say("booting Linux \(kernel.series) …")
        try await Machine.run(
            machine.topology.topology, kernel: kernel, name: "shell",
            preparation: machine.driver.preparation
        ) { machine in
            try await machine.guest.run("modprobe iopmem")
            let card = try await machine.function("card0").address
            try await machine.converse(
                greeting: """
                    iopmem on Linux \(machine.kernel.release), in a virtual machine; nothing here reaches the host.

                      card0      \(card)   a PCIe memory card, BAR 2
                      nvme0      /dev/nvme0n1   an NVMe drive

                    Try:
                      iopmemctl devices \(card)
                      iopmemctl create --device \(card) --name scratch
                      mkfs.ext4 -q -b 4096 /dev/iopmem0n1
                      mkdir -p /run/card && mount -o dax=always /dev/iopmem0n1 /run/card
                      iopmemctl verify /run/card/data --size 16M --peer /dev/nvme0n1
                      iopmemctl doctor

                    exit, or Ctrl-D, powers the machine off.
                    """)
        }
    }
}
