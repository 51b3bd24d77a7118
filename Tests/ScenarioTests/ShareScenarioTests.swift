// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// A namespace for other machines, through the kernel's NVMe target, reached by its NVMe host.
///
///     card0   256 MiB ─── namespace ─── nvmet ─── net0 ─── QEMU's hub ─── net1 ─── nvme ─── ext4, fio
///                                       10.9.0.1                          10.9.0.2, in a network
///                                                                         namespace of its own
@Suite("Sharing with other machines")
struct ShareScenarioTests {
    static let topology = Topology(.card("card0", megabytes: 256))
    static let wired = Topology(.card("card0", megabytes: 256), .linked("net0", "net1"))

    @Test(
        "it is exported, formatted and verified from the other side, and held meanwhile",
        arguments: Kernel.supported)
    func export(on kernel: Kernel) async throws {
        try await scenario(Self.wired, on: kernel) { machine in
            let guest = machine.guest
            try await machine.wireNetworkCards()
            try await guest.run("mkdir -p /etc/nvme; nvme gen-hostnqn >/etc/nvme/hostnqn")
            let namespace = try await machine.create(on: "card0", "--size 128M --name far")
            try await machine.step("what is mounted here is refused, and so is a door for all") {
                try await guest.run(FileSystem.ext4.mount(namespace.path, at: "/run/near"))
                let said = try await machine.refused(4, "iopmemctl share far")
                #expect(said.contains("mounted on /run/near"))
                try await guest.run("umount /run/near; wipefs --quiet --all \(namespace.path)")
                for door in ["0.0.0.0", "10.9.0.1"] {
                    let open = try await machine.refused(
                        64, "iopmemctl share far --address \(door)")
                    #expect(open.contains("--host"))
                }
            }
            let share = try await machine.step("exported to one host, by its name") {
                let shares: Shares = try await guest.run(
                    "iopmemctl share far --address 10.9.0.1 --host $(cat /etc/nvme/hostnqn) -o json"
                ).json()
                let share = try #require(shares.shares.first)
                #expect(share.nqn == "nqn.2014-08.org.nvmexpress:uuid:\(namespace.uuid)")
                #expect(share.address == "10.9.0.1")
                #expect(share.port == 4420)
                let again: Shares = try await guest.run("iopmemctl share -o json").json()
                #expect(again.shares == shares.shares)
                return share
            }
            let connect =
                "ip netns exec far nvme connect -t tcp -a 10.9.0.1 -s 4420 -n \(share.nqn)"
            try await machine.step("another host is turned away") {
                try await guest.run(
                    "modprobe nvme-tcp; ! \(connect) --hostnqn=nqn.2014-08.org.example:stranger")
            }
            try await machine.step("connected: formatted, written and verified") {
                try await guest.run(connect)
                let disk = "/dev/disk/by-id/nvme-uuid.\(namespace.uuid)"
                try await guest.run("until [ -b \(disk) ]; do sleep 0.1; done", within: 30)
                try await guest.run(
                    """
                    mkfs.ext4 -q -F \(disk)
                    mkdir -p /run/far
                    mount \(disk) /run/far
                    cd /run/far
                    fio --name=far --filename=data --size=16M --rw=randwrite --bs=4k --direct=1 \
                    --ioengine=io_uring --iodepth=8 --verify=crc32c --verify_fatal=1 \
                    --verify_state_save=0 --end_fsync=1 --minimal >/dev/null
                    iopmemctl verify data --size 16M --verify-only --direct 1
                    """, within: 240)
            }
            try await machine.step("its bytes are in the card's memory") {
                try await guest.run("head -c 1M /dev/urandom >/run/far/word; sync")
                let words = try await guest.run(
                    "sha256sum </run/far/word; umount /run/far"
                ).output
                // Through the namespace itself, once nobody writes by the other way.
                let here = try await guest.run(
                    """
                    mount -o ro,noload \(namespace.path) /run/near
                    sha256sum </run/near/word; umount /run/near
                    """
                ).output
                #expect(words == here)
            }
            try await machine.step("it is held, by name") {
                let said = try await machine.refused(4, "iopmemctl destroy far --yes --force")
                #expect(said.contains("it is shared as nqn."))
                #expect(said.contains("iopmemctl unshare"))
            }
            try await machine.step("no longer exported, it is free") {
                try await guest.run("nvme disconnect -n \(share.nqn); iopmemctl unshare far")
                let none: Shares = try await guest.run("iopmemctl share -o json").json()
                #expect(none.shares.isEmpty)
                try await guest.run(
                    "[ -z \"$(ls /sys/kernel/config/nvmet/ports /sys/kernel/config/nvmet/subsystems | grep -v :)\" ]"
                )
                try await guest.run("iopmemctl destroy far --yes --force")
            }
        }
    }

    @Test(
        "it comes back with its card, and an address that is not there leaves nothing",
        arguments: Kernel.supported)
    func comesBack(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            let namespace = try await machine.create(
                on: "card0", "--size 64M --mode raw --name far --persist")
            try await machine.step("an address of another machine is refused, with a reason") {
                let said = try await machine.refused(
                    1, "iopmemctl share far --address 198.51.100.7 --host any")
                #expect(said.contains("cannot listen at 198.51.100.7 port 4420"))
                #expect(
                    try await guest.run("ls /sys/kernel/config/nvmet/subsystems").output.isEmpty)
                try await guest.run("test ! -e /etc/iopmem/shares/\(namespace.uuid).conf")
            }
            try await machine.step("taken away and brought back, it is exported again") {
                try await guest.run("iopmemctl share far --port 4421")
                try await guest.run("iopmemctl unbind \(card) --yes --revoke", within: 60)
                try await guest.run("iopmemctl restore \(card)")
                try await guest.run("iopmemctl share --again \(namespace.uuid)")
                try await guest.run(
                    """
                    modprobe nvme-tcp
                    nvme connect -t tcp -a 127.0.0.1 -s 4421 \
                        -n nqn.2014-08.org.nvmexpress:uuid:\(namespace.uuid)
                    disk=/dev/disk/by-id/nvme-uuid.\(namespace.uuid)
                    until [ -b $disk ]; do sleep 0.1; done
                    dd if=$disk of=/dev/null bs=1M count=1 iflag=direct
                    nvme disconnect-all
                    """, within: 60)
            }
            try await machine.step("what has gone is named by its UUID") {
                try await guest.run("iopmemctl unbind \(card) --yes --revoke", within: 60)
                try await guest.run("iopmemctl unshare \(namespace.uuid)")
                #expect(
                    try await guest.run("ls /sys/kernel/config/nvmet/subsystems").output.isEmpty)
                try await guest.run("rmmod iopmem")
            }
        }
    }

    private struct Shares: Decodable {
        let shares: [Share]

        struct Share: Decodable, Equatable {
            let dev: String
            let nqn: String
            let address: String
            let port: Int
        }
    }
}
