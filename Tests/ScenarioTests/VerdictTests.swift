// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// What `verify` says when something is not as it should be.
///
///     root complex ─┬─ card0   128 MiB
///                   └─ nvme0   whose DMA the kernel is told to copy through RAM
@Suite("Verdicts of verify")
struct VerdictTests {
    @Test(
        "what is not direct or not right is exit 7, and peers get their data back",
        arguments: Kernel.supported)
    func verdicts(on kernel: Kernel) async throws {
        var topology = Topology(.card("card0", megabytes: 128), .nvme("nvme0"))
        topology.kernelArguments = ["swiotlb=force"]
        try await scenario(topology, on: kernel) { machine in
            let namespace = try await machine.create(on: "card0", "--size max")
            let file = "/run/card/data"
            try await machine.guest.run(FileSystem.ext4.mount(namespace.path, at: "/run/card"))
            let before = try await machine.guest.run("md5sum </dev/nvme0n1").output

            try await machine.step("pages in the BAR, right data, and yet copied through RAM") {
                let verdict: Verified = try await machine.guest.run(
                    "iopmemctl verify \(file) --size 1M --peer /dev/nvme0n1 --peer-write -o json",
                    status: 7
                ).json()
                #expect(verdict.verify.result == "fail")
                #expect(verdict.verify.bytes_verified == 1 << 20)
                #expect(verdict.verify.placement?.pages_in_bar == 256)
                #expect(verdict.verify.p2p.map(\.direction) == ["peer-to-bar", "bar-to-peer"])
                for transfer in verdict.verify.p2p {
                    #expect(transfer.result == "fail")
                    #expect(transfer.evidence.contains("bounce buffers in RAM"))
                }
            }
            try await machine.step("the same where nobody can count it") {
                let verdict: Verified = try await machine.guest.run(
                    """
                    unshare --mount sh -c '
                        for folder in /sys/kernel/tracing /sys/kernel/debug; do
                            mount -t tmpfs none $folder
                        done
                        iopmemctl verify \(file) --size 1M --peer /dev/nvme0n1 -o json'
                    """, status: 7
                ).json()
                let transfer = try #require(verdict.verify.p2p.first)
                #expect(transfer.result == "fail")
                #expect(transfer.evidence.contains("bounce counters not available"))
                #expect(transfer.evidence.contains("kernel command line: "))
            }
            try await machine.step("Ctrl-C in the middle of writing to the drive") {
                // The signal is sent as soon as the first transfer is announced. What was found
                // wrong before it still decides the exit status.
                let verdict: Verified = try await machine.guest.run(
                    """
                    mkfifo talk
                    iopmemctl verify \(file) --size 48M --peer /dev/nvme0n1 --peer-write -v -o json \
                        2>talk >report & pid=$!
                    while read -r line; do
                        case $line in *"from the mapping: begin") kill -INT $pid;; esac
                    done <talk
                    cat report
                    wait $pid
                    """, status: 7
                ).json()
                #expect(verdict.verify.p2p.last?.direction == "bar-to-peer")
                #expect(verdict.verify.p2p.last?.evidence == "interrupted")
            }
            try await machine.step("the drive holds what it held") {
                let after = try await machine.guest.run("md5sum </dev/nvme0n1").output
                #expect(after == before)
            }
            try await machine.step("fio wrote it, one byte was changed") {
                try await machine.guest.run(
                    "fio --name=v --filename=\(file) --rw=randwrite --bs=4k --size=1M"
                        + " --verify=crc32c --do_verify=0 --verify_state_save=0 --minimal")
                let good: Verified = try await machine.guest.run(
                    "iopmemctl verify \(file) --verify-only --size 1M -o json"
                ).json()
                #expect(good.verify.result == "pass")
                let bad: Verified = try await machine.guest.run(
                    """
                    printf 'changed' | dd of=\(file) bs=1 seek=70000 conv=notrunc status=none
                    iopmemctl verify \(file) --verify-only --size 1M -o json
                    """, status: 7
                ).json()
                #expect(bad.verify.mismatches.count == 1)
                #expect(bad.verify.placement?.pages_in_bar == 256)
            }
            try await machine.step("mounted, but not for DAX") {
                let words = try await machine.refused(
                    7,
                    """
                    umount /run/card && mount -o dax=never \(namespace.path) /run/card &&
                    iopmemctl verify \(file) --size 1M
                    """)
                #expect(words.contains("DAX is not in effect"))
                try await machine.guest.run("umount /run/card")
            }
        }
    }
}
