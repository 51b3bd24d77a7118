// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// From a camera to a disk, by way of the card's memory and nothing else. The camera is the kernel's
/// own emulation (vivid), which draws its frames itself; a drive stores them from where they are.
///
///     vivid ── USERPTR, DMABUF ──► card0   64 MiB ── O_DIRECT ──► nvme0
@Suite("Camera")
struct CameraTests {
    static let topology = Topology(
        .switch("sw0", .card("card0", megabytes: 128), .nvme("nvme0")))
    static let frames = 4
    /// Each frame is stored with the rest of its MiB.
    static let length = frames << 20

    @Test("frames are captured into the BAR and stored from there", arguments: Kernel.supported)
    func capture(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let bar = try #require(try await machine.function("card0").bars[2])
            try await machine.guest.run(
                "modprobe vivid n_devs=1 node_types=0x1 && udevadm settle && test -c /dev/video0")
            let namespace = try await machine.create(on: "card0", "--mode devdax --size 64M")
            for kind in ["userptr", "dmabuf"] {
                try await machine.step(
                    "the camera writes to the BAR (\(kind)), the drive reads from it"
                ) {
                    let trace = try await machine.transfer(
                        "iopmem-guest camera \(kind) /dev/video0 \(namespace.path) /dev/nvme0n1 \(Self.frames)"
                            + " >/run/captured")
                    let captured = try await machine.guest.run("cat /run/captured").output
                    #expect(
                        captured == "capturing\n\(Self.frames) frames of \(640 * 360 * 2) bytes")
                    #expect(trace.bytesWritten == Self.length)
                    #expect(trace.bytes(in: bar) == Self.length)
                    #expect(trace.bytes(outside: bar) == 0)
                    let onCard = try Storage.bytes(
                        of: machine.storage.card("card0"), offset: namespace.offset,
                        count: Self.length)
                    let onDrive = try Storage.bytes(
                        of: machine.storage.drive("nvme0"), offset: 0, count: Self.length)
                    #expect(onCard == onDrive)
                    // Different pictures: vivid has a clock in them.
                    let pictures = (0..<Self.frames).map {
                        onCard[($0 << 20)..<($0 << 20) + 640 * 360 * 2]
                    }
                    #expect(Set(pictures).count > 1)
                }
            }
            for kind in ["userptr", "dmabuf"] {
                try await machine.step("the card goes under a camera that writes to it (\(kind))") {
                    try await remove(under: kind, machine)
                }
            }
            try await machine.step("memory that a file system may move is refused") {
                let files = try await machine.create(on: "card0", "--size 32M --force")
                try await machine.guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
                try await machine.guest.run("fallocate -l 8M /run/files/frames")
                let said = try await machine.guest.run(
                    "iopmem-guest camera userptr /dev/video0 /run/files/frames /dev/nvme0n1 1"
                ).output
                #expect(said == "EOPNOTSUPP")
                try await machine.guest.run("umount /run/files")
            }
        }
    }

    /// The camera has the pages, or a dma-buf, for as long as its program does not end; and that ends
    /// because the drive no longer gets at them.
    private func remove(under kind: String, _ machine: Machine) async throws {
        let card = try await machine.function("card0").address
        let namespace = try #require(try await machine.list().namespaces.first)
        try await machine.guest.run(
            """
            cd /run
            : >frames.out
            setsid iopmem-guest camera \(kind) /dev/video0 \(namespace.path) /dev/nvme0n1 \
                \(Self.frames) forever >frames.out 2>&1 &
            until grep -q streaming frames.out; do sleep 0.1; done
            """, within: 60)
        let said = try await machine.refused(4, "iopmemctl destroy \(namespace.dev) --yes")
        #expect(said.contains("iopmem-guest"), "it said \(said)")
        try await machine.guest.run(
            """
            echo 1 >/sys/bus/pci/devices/\(card)/remove
            while pgrep -x iopmem-guest; do sleep 0.1; done
            if grep iopmem /proc/iomem; then exit 1; fi
            """, within: 60)
        #expect(try await machine.guest.run("tail -n 1 /run/frames.out").output == "EFAULT")
        try await machine.guest.run("echo 1 >/sys/bus/pci/rescan; udevadm settle")
        _ = try await machine.create(on: "card0", "--mode devdax --size 64M")
    }
}
