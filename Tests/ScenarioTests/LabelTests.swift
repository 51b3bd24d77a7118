// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// A card that carries its namespaces along.
///
///     root complex ─┬─ slot0 ── card0   128 MiB   is pulled out of here
///                   └─ slot1                      and put in here
@Suite("Labels")
struct LabelTests {
    static let topology = Topology(
        .rootPort("slot0", reserve: 256, child: .card("card0", megabytes: 128)),
        .rootPort("slot1", reserve: 256, child: nil))

    /// Where the format has its index blocks: docs/label-format.md.
    static let indexBlocks = [0, 0x1ff000]

    @Test(
        "namespaces move to another slot with their files, and damage is refused, not repaired",
        arguments: Kernel.supported)
    func moved(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let first = try await machine.function("card0").address
            let before = try await machine.step("two namespaces with labels") {
                try await guest.run(
                    """
                    modprobe iopmem
                    iopmemctl bind \(first) --media persistent
                    iopmemctl labels init \(first)
                    """)
                let files = try await machine.create(
                    on: "card0", "--size 64M --name files --persist")
                let disk = try await machine.create(
                    on: "card0", "--size 16M --mode raw --name disk")
                try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
                try await guest.run(
                    """
                    seq 100000 >/run/files/numbers
                    sync /run/files/numbers
                    umount /run/files
                    seq 1000 | dd of=\(disk.path) bs=64K conv=sync oflag=direct
                    iopmemctl labels check \(first)
                    iopmemctl unbind \(first)
                    """)
                return [files, disk]
            }
            try await machine.step("the card moves to the other slot") {
                try await move(machine)
            }
            let second = try await machine.function("card0").address
            #expect(second != first)
            try await machine.step("restore brings both back, and again changes nothing") {
                let said = try await guest.run("iopmemctl bind \(second) --media persistent").errors
                #expect(said.contains("labels of 2 namespaces (files, disk)"), "\(said)")
                for _ in 1...2 {
                    let after: Created = try await guest.run(
                        "iopmemctl restore \(second) -o json"
                    ).json()
                    #expect(after.namespaces.map(\.identity) == before.map(\.identity))
                    #expect(after.namespaces.allSatisfy { $0.device == second })
                }
                try await guest.run(
                    """
                    mount -o dax=always \(before[0].path) /run/files
                    seq 100000 | cmp - /run/files/numbers
                    umount /run/files
                    seq 1000 | cmp -n 3893 - \(before[1].path)
                    """)
            }
            try await damage(machine, card: second, before)
        }
    }

    private func move(_ machine: Machine) async throws {
        try await machine.qmp.unplug("card0")
        try await machine.plug(card: "card0", into: "slot1")
    }

    /// From the host's side, while nothing is bound.
    private func damage(
        _ machine: Machine, card: String, _ before: [Namespace]
    ) async throws {
        let guest = machine.guest
        let file = machine.storage.card("card0")
        try await guest.run("iopmemctl unbind \(card)")
        let whole = try Storage.bytes(of: file, offset: 0, count: 2 << 20)
        try await machine.step("one bad index block loses nothing") {
            try Storage.overwrite(file, offset: Self.indexBlocks[0] + 100, with: [0xff])
            let after: Created = try await guest.run("iopmemctl restore \(card) -o json").json()
            #expect(after.namespaces.map(\.identity) == before.map(\.identity))
            #expect(try await mediaOfRegion(machine) == "persistent")
            let said = try await machine.refused(1, "iopmemctl labels check \(card)")
            #expect(said.contains("the first index block"), "\(said)")
            try await guest.run("iopmemctl unbind \(card)")
        }
        try await machine.step("two are refused by every command, and nothing is written") {
            try Storage.overwrite(file, offset: Self.indexBlocks[1] + 100, with: [0xff])
            let corrupt = try Storage.bytes(of: file, offset: 0, count: 2 << 20)
            for command in [
                "restore \(card)", "create --device \(card) --size 2M",
                "create --device \(card) --size 2M --force --yes",
            ] {
                let said = try await machine.refused(1, "iopmemctl \(command)")
                #expect(said.contains("corrupt") && said.contains("0x1ff078"), "\(said)")
            }
            // They were bound for nothing.
            try await guest.run("test ! -e /sys/bus/pci/devices/\(card)/driver")
            try await guest.run("iopmemctl bind \(card)")
            for verb in ["show", "check", "init"] {
                let said = try await machine.refused(1, "iopmemctl labels \(verb) \(card)")
                #expect(said.contains("corrupt"), "\(said)")
            }
            #expect(try await machine.list().namespaces.isEmpty)
            #expect(try Storage.bytes(of: file, offset: 0, count: 2 << 20) == corrupt)
        }
        try await machine.step("a newer version is named and refused") {
            try Storage.overwrite(file, offset: 0, with: whole)
            try Storage.overwrite(file, offset: Self.indexBlocks[1], with: Self.version7)
            let said = try await machine.refused(1, "iopmemctl restore \(card)")
            #expect(said.contains("version 7"), "\(said)")
            _ = try await machine.refused(1, "iopmemctl create --device \(card) --size 2M")
            #expect(
                try Storage.bytes(of: file, offset: Self.indexBlocks[1], count: 64)
                    == Self.version7)
        }
        try await machine.step("a dump that is put back mends it") {
            try Storage.overwrite(file, offset: 0, with: whole)
            try await guest.run("iopmemctl labels dump \(card) --to /run/dump")
            for start in Self.indexBlocks {
                try Storage.overwrite(
                    file, offset: start, with: [UInt8](repeating: 0xe5, count: 4096))
            }
            _ = try await machine.refused(
                1, "iopmemctl labels restore \(card) --from /run/dump --yes")
            let after: Created = try await guest.run(
                """
                iopmemctl labels restore \(card) --from /run/dump --yes --force >/dev/null
                iopmemctl restore \(card) -o json
                """
            ).json()
            #expect(after.namespaces.map(\.identity) == before.map(\.identity))
            try await guest.run("iopmemctl labels check \(card)")
        }
    }

    private func mediaOfRegion(_ machine: Machine) async throws -> String {
        try await machine.guest.run("cat /sys/class/iopmem/iopmem*/media").output
            .split(separator: "\n").first.map(String.init) ?? ""
    }

    /// The header of an index block of a version that nobody has written yet,
    /// with its right checksum.
    static let version7: [UInt8] = [
        0x49, 0x4f, 0x50, 0x4d, 0x45, 0x4d, 0x4c, 0x41, 0x07, 0x00, 0x00, 0x00,
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03,
        0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x8d, 0xfa, 0x0b, 0xb3,
        0xcb, 0x1d, 0xb7, 0x78,
    ]
}

extension Namespace {
    /// What must be the same wherever the card is.
    var identity: [String] { [uuid, mode, "\(size)", "\(offset)", String(dev.drop { $0 != "n" })] }
}
