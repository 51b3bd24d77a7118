// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// A virtual machine, by QEMU in the lab's own, whose RAM is the card's memory.
///
///     root complex ─── card0   128 MiB   devdax, and fsdax beside it
@Suite("Hypervisors")
struct HypervisorTests {
    static let topology = Topology(.card("card0", megabytes: 128))

    /// What its guest writes, again and again: a page at 32 KiB.
    private static let page = Array("IO".utf8)

    @Test("the RAM of a guest is the memory of the card", arguments: Kernel.supported)
    func guestMemory(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let mapped = try await machine.create(on: "card0", "--size 32M --mode devdax")
            let files = try await machine.create(on: "card0", "--size 64M")
            try await guest.run(
                """
                \(FileSystem.ext4.mount(files.path, at: "/run/files"))
                fallocate -l 32M /run/files/ram
                \(Self.bootSector)
                """)
            let wanted = [UInt8]((0..<2048).flatMap { _ in Self.page })
            try await machine.step("a devdax namespace") {
                try await boot(on: mapped.path, machine)
                let seen = try Storage.bytes(
                    of: machine.storage.card("card0"), offset: mapped.offset + (32 << 10),
                    count: wanted.count)
                #expect(Array(seen) == wanted)
                let said = try await machine.refused(4, "iopmemctl destroy \(mapped.dev) --yes")
                #expect(said.contains("open in qemu-system-x86"), "\(said)")
                try await stop(machine)
            }
            try await machine.step("a file with DAX") {
                try await boot(on: "/run/files/ram", machine)
                let seen = try await machine.bytesOnCard(
                    ofFile: "/run/files/ram", count: 48 << 10, card: "card0",
                    start: files.offset)
                #expect(Array(seen.dropFirst(32 << 10).prefix(wanted.count)) == wanted)
                try await stop(machine)
                try await guest.run("umount /run/files")
            }
            try await machine.step("the card goes, and the guest with it") {
                try await boot(on: mapped.path, machine)
                try await guest.run(
                    """
                    iopmemctl unbind \(mapped.device) --revoke --yes
                    while pgrep -x qemu-system-x86 >/dev/null; do sleep 0.1; done
                    """, within: 60)
            }
        }
    }

    /// `cli; xor ax,ax; mov es,ax; again: mov di,8000h; mov ax,"IO"; mov cx,800h; cld; rep stosw;
    /// jmp again`, on a floppy disk.
    private static let bootSector = """
        {
            printf '\\xfa\\x31\\xc0\\x8e\\xc0\\xbf\\x00\\x80\\xb8\\x49\\x4f\\xb9\\x00\\x08\\xfc\\xf3\\xab\\xeb\\xf2'
            head -c 491 /dev/zero
            printf '\\x55\\xaa'
        } >/run/boot.img
        truncate -s 1440K /run/boot.img
        """

    /// Returns when the guest has written its page.
    private func boot(on memory: String, _ machine: Machine) async throws {
        try await machine.guest.run(
            """
            cd /run
            dd if=/dev/zero of=\(memory) bs=4k seek=8 count=1 conv=notrunc
            setsid nice -n 19 qemu-system-x86_64 -accel tcg -machine pc,memory-backend=ram -m 32M \\
                -object memory-backend-file,id=ram,size=32M,mem-path=\(memory),share=on \\
                -display none -serial none -monitor none -net none -boot a \\
                -drive file=boot.img,format=raw,if=floppy >qemu.out 2>&1 &
            until dd if=\(memory) bs=4k skip=8 count=1 | cmp -s - <(yes IO | tr -d '\\n' | head -c 4096); do
                kill -0 $! || { cat qemu.out >&2; exit 1; }
                sleep 0.5
            done
            """, within: 120)
    }

    private func stop(_ machine: Machine) async throws {
        try await machine.guest.run(
            """
            pkill -x qemu-system-x86
            while pgrep -x qemu-system-x86 >/dev/null; do sleep 0.1; done
            """, within: 60)
    }
}
