// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Programs that are killed while devices work on the card's memory for them: what they held is given
/// back, and nothing else happens.
@Suite("Killed clients")
struct KilledClientTests {
    static let topology = Topology(
        .switch(
            "sw0", .card("card0", megabytes: 128), .nvme("nvme0"),
            .edu("edu0")),
        .linked("net0", "net1"))

    /// A program that reaches the namespace's memory for as long as it is let.
    private struct Client {
        let name: String
        /// What is killed.
        let program: String
        /// What begins it, in the background.
        let start: String
        /// What is true once it works.
        let works: String
        /// The namespace that it uses.
        var options = "--mode devdax --size 96M"
        /// What the refusal to destroy that names as its holder; the program, if nil.
        var holder: String?
        /// What an administrator has to do once it is dead.
        var afterwards = "true"
    }

    @Test("what a killed program held is given back", arguments: Kernel.supported)
    func killed(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel, preparation: try .importer()) { machine in
            let guest = machine.guest
            try await guest.run("modprobe iopmem && modprobe iopmem-importer")
            try await machine.startSoftwareRDMA()
            try await machine.wireNetworkCards()
            for client in kernel.share(of: clients(on: kernel)) {
                try await machine.step("killed: \(client.name)") {
                    let namespace = try await machine.create(
                        on: "card0", "\(client.options) --name rings")
                    let words = "/dev/\(namespace.region) 1 \(namespace.uuid)"
                    try await guest.run(
                        """
                        # Nothing that one before it said.
                        cd $(mktemp -d -p /run)
                        \(client.start.replacing("REGION", with: words)
                            .replacing("UUID", with: namespace.uuid))
                        until \(client.works); do sleep 0.1; done
                        """, within: 120)
                    // It is in the middle of it: what it uses cannot go.
                    let said = try await machine.refused(4, "iopmemctl destroy rings --yes")
                    #expect(
                        said.contains(namespace.dev)
                            && said.contains(client.holder ?? client.program),
                        "destroy said \(said)")
                    try await guest.run(
                        """
                        pkill -KILL -x \(client.program)
                        while pgrep -x \(client.program) >/dev/null; do sleep 0.1; done
                        \(client.afterwards)
                        """, within: 120)
                    // A device may have a moment's work left.
                    try await guest.run(
                        "until iopmemctl destroy rings --yes --force; do sleep 0.5; done",
                        within: 60)
                }
            }
            try await guest.run("rmmod iopmem-importer && rmmod iopmem")
        }
    }

    private func clients(on kernel: Kernel) -> [Client] {
        let node = "/dev/iopdax0n1"
        func fio(_ engine: String) -> Client {
            Client(
                name: "fio by \(engine)", program: "fio",
                start: """
                    setsid fio --name=peer --filename=/dev/nvme0n1 --rw=randrw --bs=64k --size=16M \
                    --direct=1 --ioengine=\(engine) --iodepth=8 --iomem=mmapshared:\(node) \
                    --time_based --runtime=1000 --thread --status-interval=1 >fio.out 2>&1 &
                    """,
                works: "grep -q 'io=[1-9]' fio.out")
        }
        // 6.1 registers no memory of a file (io_uring/rsrc.c). The lists of all kernels are of one order,
        // since they share it.
        var clients = [
            fio(kernel.series == "6.1" ? "io_uring" : "io_uring --fixedbufs=1"), fio("psync"),
            fio("libaio"), fio("io_uring"),
        ]
        for program in ["ib_write_bw", "ib_read_bw", "ib_send_bw"] {
            let command = "\(program) -d rxe0 -s 65536 -n 1000000 --mmap=\(node)"
            clients.append(
                Client(
                    name: program, program: program,
                    start: """
                        setsid \(command) >server.out 2>&1 &
                        until [ -n "$(ss -Hltn 'sport = 18515')" ]; do sleep 0.1; done
                        setsid stdbuf -oL \(command) 10.7.0.1 >client.out 2>&1 &
                        """,
                    works: "grep -q 'remote address' client.out"))
        }
        clients += [file(), farDisk()] + network(node) + importers()
        for kind in ["userptr", "dmabuf"] {
            clients.append(
                Client(
                    name: "a camera by \(kind)", program: "iopmem-guest",
                    start: """
                        modprobe vivid n_devs=1 node_types=0x1
                        udevadm settle
                        setsid iopmem-guest camera \(kind) /dev/video0 \(node) /dev/nvme0n1 30 \
                        >frames.out 2>&1 &
                        until grep -q capturing frames.out; do sleep 0.1; done
                        # Nobody takes the frames: the camera keeps its buffers.
                        pkill -STOP -x iopmem-guest
                        """,
                    works: "pgrep -x iopmem-guest >/dev/null"))
        }
        return clients
    }

    /// A drive reads into a file with DAX, and writes from it.
    private func file() -> Client {
        Client(
            name: "fio into a file", program: "fio",
            start: """
                \(FileSystem.ext4.mount("/dev/iopmem0n1", at: "/run/files"))
                fallocate -l 64M /run/files/buffer
                setsid fio --name=peer --filename=/dev/nvme0n1 --rw=randrw --bs=64k --size=16M \
                --direct=1 --ioengine=io_uring --iodepth=8 --iomem=mmapshared:/run/files/buffer \
                --time_based --runtime=1000 --thread --status-interval=1 >fio.out 2>&1 &
                """,
            works: "grep -q 'io=[1-9]' fio.out", options: "--size 96M --force",
            holder: "mounted on /run/files", afterwards: "umount /run/files")
    }

    /// The namespace is another machine's disk, by NVMe over TCP.
    private func farDisk() -> Client {
        Client(
            name: "fio on another machine's disk", program: "fio",
            start: """
                modprobe nvme-tcp
                mkdir -p /etc/nvme; nvme gen-hostnqn >/etc/nvme/hostnqn
                iopmemctl share rings --host $(cat /etc/nvme/hostnqn) >/dev/null
                nvme connect -t tcp -a 127.0.0.1 -s 4420 -n nqn.2014-08.org.nvmexpress:uuid:UUID
                disk=/dev/disk/by-id/nvme-uuid.UUID
                until [ -b $disk ]; do sleep 0.1; done
                setsid fio --name=far --filename=$disk --rw=randrw --bs=64k --size=16M --direct=1 \
                --ioengine=io_uring --iodepth=8 --time_based --runtime=1000 --thread \
                --status-interval=1 >fio.out 2>&1 &
                """,
            works: "grep -q 'io=[1-9]' fio.out", options: "--mode raw --size 96M",
            holder: "it is shared as nqn.",
            afterwards: "nvme disconnect-all; iopmemctl unshare rings")
    }

    private func network(_ node: String) -> [Client] {
        [
            Client(
                name: "a sender of MSG_ZEROCOPY", program: "iopmem-guest",
                start: """
                    setsid ip netns exec far iopmem-guest tcp-receive \(node) 50331648 50331648 \
                    >received 2>&1 &
                    until grep -q listening received; do sleep 0.1; done
                    # Nobody takes it: what is sent stays where it is.
                    pkill -STOP -x iopmem-guest
                    setsid iopmem-guest tcp-send \(node) 0 50331648 10.9.0.2 >sent 2>&1 &
                    """,
                works: "ss -Htn 'dport = 7000' | awk '$3 > 0 { n++ } END { exit !n }'"),
            Client(
                name: "a receiver of TCP", program: "iopmem-guest",
                start: """
                    setsid iopmem-guest tcp-receive \(node) 0 50331648 >received 2>&1 &
                    until grep -q listening received; do sleep 0.1; done
                    # More slowly than it would be done with before it is killed.
                    setsid ip netns exec far bash -c 'while echo for the receiver; do sleep 0.05; done \
                    >/dev/tcp/10.9.0.1/7000' >/dev/null 2>&1 &
                    """,
                works: "head -c 16 \(node) | grep -q 'for the receiver'"),
        ]
    }

    private func importers() -> [Client] {
        [("old", "any"), ("obedient", "")].map { kind, permission in
            Client(
                name: "an \(kind) importer of a dma-buf", program: "iopmem-guest",
                start: """
                    setsid iopmem-guest importer \(kind) REGION 0 8388608 \(permission) hold \
                    >hold.out 2>&1 &
                    """,
                works: "grep -q copied hold.out")
        }
    }
}
