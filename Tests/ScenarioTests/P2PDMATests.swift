// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Memory that the kernel's own peer-to-peer code hands out, and its verdicts on transfers to it.
@Suite("P2PDMA")
struct P2PDMATests {
    /// One transfer, in bytes.
    static let length = 1 << 20

    /// Where provider and client are, and the processor that decides about host bridges.
    struct Place: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let topology: Topology
        /// What `iopmemctl topology` says of it, the kernel's verdict in words.
        let verdict: String
        /// Not where a bus address meets a translating IOMMU: QEMU has no switches that route by
        /// themselves, so the write gets to the IOMMU, which refuses it, and the drive says nothing.
        let isEmulated: Bool

        static let card = Topology.Node.card("card0", megabytes: 64)
        static let drive = Topology.Node.nvme("nvme0")

        static let all = [
            Place("below one switch", Topology(.switch("sw0", card, drive)), "bus_addr"),
            Place(
                "two functions of a device", Topology(.functions("rp0", children: [card, drive])),
                "bus_addr"),
            Place("on the root bus", Topology(card, drive), "not_supported"),
            Place(
                "on the root bus of a Zen", Topology(card, drive).onProcessor("EPYC"),
                "through_host_bridge"),
            Place(
                "behind two root ports of a Zen",
                Topology(.rootPort("rp0", card), .rootPort("rp1", drive)).onProcessor("EPYC"),
                "through_host_bridge"),
            Place(
                "behind two root ports",
                Topology(.rootPort("rp0", card), .rootPort("rp1", drive)), "not_supported"),
            Place(
                "behind two host bridges of a Zen",
                Topology(.rootPort("rp0", card), .hostBridge("pxb0", bus: 64, children: [drive]))
                    .onProcessor("EPYC"), "through_host_bridge"),
            Place(
                "behind two host bridges",
                Topology(.rootPort("rp0", card), .hostBridge("pxb0", bus: 64, children: [drive])),
                "not_supported"),
            // Linux switches access control on with the IOMMU, here that of the root port.
            Place("two functions, redirected", functions.translatingDMA(), "not_supported"),
            Place(
                "two functions, redirected by a Zen",
                functions.onProcessor("EPYC").translatingDMA(), "through_host_bridge"),
            Place(
                "two functions, not redirected",
                functions.translatingDMA().booted(with: "pci=disable_acs_redir=pci:1b36:000c"),
                "bus_addr", isEmulated: false),
            Place(
                "below one switch, translated",
                Topology(.switch("sw0", card, drive)).translatingDMA(), "bus_addr",
                isEmulated: false),
        ]

        static let functions = Topology(.functions("rp0", children: [card, drive]))

        init(
            _ description: String, _ topology: Topology, _ verdict: String, isEmulated: Bool = true
        ) {
            testDescription = description
            self.topology = topology
            self.verdict = verdict
            self.isEmulated = isEmulated
        }
    }

    /// Kernels by whether they hand peer-to-peer memory out to programs, as they are configured.
    static func kernels(withP2PDMA has: Bool) -> [Kernel] {
        Kernel.supported.filter { ["6.1", "6.12"].contains($0.series) != has }
    }

    @Test(
        "the kernel moves data exactly where topology says that it can",
        arguments: kernels(withP2PDMA: true), Place.all)
    func verdicts(on kernel: Kernel, _ place: Place) async throws {
        try await scenario(place.topology, on: kernel) { machine in
            let card = try await machine.function("card0")
            let drive = try await machine.function("nvme0").address
            let bar = try #require(card.bars[2])
            let listing: Pairs = try await machine.guest.run(
                "iopmemctl topology --provider \(card.address) --client \(drive) -o json"
            ).json()
            #expect(listing.pairs.map(\.verdict) == [place.verdict])
            let namespace = try await machine.create(on: "card0", "--mode p2pdma --size 32M")
            try await machine.step("tool, driver and kernel count the same way") {
                let words = drive.split { ":.".contains($0) }.joined(separator: " ")
                let judged = try await machine.guest.run(
                    "iopmem-guest judge /dev/\(namespace.region) \(words)"
                ).output.split(separator: "\n")
                // The driver's verdict and distance, and the kernel's.
                let said = try #require(judged.first?.split(separator: " ").map(String.init))
                let distance = try #require(listing.pairs.first).distance
                try #require(said.count == 3, "it said \(said)")
                #expect(said[0] == place.verdict)
                #expect(said[1] == "\(distance)")
                if place.verdict == "not_supported" {
                    #expect(try #require(Int(said[2])) < 0)
                } else {
                    #expect(said[2] == said[1])
                }
            }
            guard place.isEmulated else { return }
            try await machine.step("\(place.testDescription): \(place.verdict)") {
                let command =
                    "iopmem-guest p2pmem \(namespace.path) /dev/nvme0n1 \(Self.length) >/run/moved"
                let trace = try await machine.transfer(command)
                let moved = try await machine.guest.run("cat /run/moved").output
                if place.verdict == "not_supported" {
                    // Until 7.0, what the block layer made of it: BLK_STS_TARGET.
                    let errno = kernel.series.hasPrefix("6.") ? "EREMOTEIO" : "EINVAL"
                    #expect(moved == "in \(errno)\nout \(errno)")
                    #expect(trace.bytes(in: bar) == 0)
                } else {
                    #expect(moved == "in OK\nout OK")
                    #expect(trace.bytes(in: bar) == 2 * Self.length)
                }
            }
        }
    }

    /// What `iopmemctl topology -o json` prints; only what is looked at.
    private struct Pairs: Decodable {
        let pairs: [Pair]

        struct Pair: Decodable {
            let verdict: String
            let distance: Int
        }
    }

    @Test(
        "there is one for each device, and it goes with the binding alone",
        arguments: kernels(withP2PDMA: true))
    func lifetime(on kernel: Kernel) async throws {
        let topology = Topology(.switch("sw0", .card("card0", megabytes: 128), .nvme("nvme0")))
        try await scenario(topology, on: kernel) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            let pool = "/sys/bus/pci/devices/\(card)/p2pmem"
            let namespace = try await machine.step("published, beside a disk") {
                _ = try await machine.create(on: "card0", "--size 32M --name disk")
                let namespace = try await machine.create(
                    on: "card0", "--mode p2pdma --size 64M --publish --name pool")
                #expect(namespace.path == "\(pool)/allocate")
                #expect(
                    try await guest.run("cat \(pool)/published \(pool)/size").output
                        == "1\n\(64 << 20)")
                return namespace
            }
            let stream = "iopmem-guest p2pmem-stream \(namespace.path) /dev/nvme0n1 1048576"
            try await machine.step("a second one, and its end, are refused") {
                let second = try await machine.refused(
                    6, "iopmemctl create --device \(card) --mode p2pdma --size 2M")
                #expect(second.contains("has \(namespace.dev) of mode p2pdma already"))
                let kept = try await machine.refused(4, "iopmemctl destroy pool --yes --revoke")
                #expect(kept.contains("iopmemctl unbind \(card)"))
                #expect(try await machine.list().namespace(namespace.dev).state == "enabled")
            }
            try await machine.step("nobody may pin it for long") {
                let said = try await guest.run(
                    """
                    fio --name=peer --filename=/dev/nvme0n1 --rw=randread --bs=64k --size=1M --direct=1 \
                    --ioengine=io_uring --fixedbufs=1 --iomem=mmapshared:\(namespace.path) 2>&1
                    """, status: 1)
                #expect(said.output.contains("error=Bad address"), "it said \(said.output)")
            }
            try await machine.step("in use, it keeps the device bound") {
                try await guest.run(
                    """
                    cd /run
                    setsid iopmem-guest p2pmem-hold \(namespace.path) 1048576 >hold.out 2>&1 &
                    until grep -q mapped hold.out; do sleep 0.1; done
                    """)
                let said = try await machine.refused(4, "iopmemctl unbind \(card) --yes")
                #expect(said.contains("memory of \(namespace.dev) is allocated"), "it said \(said)")
                let listing = try await machine.list()
                #expect(listing.namespaces.map(\.state) == ["enabled", "enabled"])
            }
            try await machine.step("who is killed in the middle of a transfer gives it back") {
                try await guest.run(
                    """
                    pkill -KILL -x iopmem-guest; while pgrep -x iopmem-guest; do sleep 0.1; done
                    cd /run
                    setsid \(stream) >stream.out 2>&1 &
                    until grep -q streaming stream.out; do sleep 0.1; done
                    """, within: 60)
                let said = try await machine.refused(4, "iopmemctl unbind \(card) --yes")
                #expect(said.contains("memory of \(namespace.dev) is allocated"), "it said \(said)")
                try await guest.run(
                    """
                    pkill -KILL -x iopmem-guest; while pgrep -x iopmem-guest; do sleep 0.1; done
                    # The pool tells how much nobody has.
                    until [ $(cat \(pool)/available) = \(64 << 20) ]; do sleep 0.1; done
                    """, within: 60)
            }
            try await machine.step("transfers go on when it is taken away") {
                try await guest.run(
                    """
                    cd /run
                    : >hold.out
                    : >stream.out
                    setsid iopmem-guest p2pmem-hold \(namespace.path) 1048576 >hold.out 2>&1 &
                    setsid \(stream) >stream.out 2>&1 &
                    until grep -q mapped hold.out && grep -q streaming stream.out; do sleep 0.1; done
                    """, within: 60)
            }
            try await machine.step("what nobody else can take away is taken away") {
                try await guest.run("iopmemctl unbind \(card) --yes --revoke", within: 60)
                try await guest.run("while pgrep -x iopmem-guest; do sleep 0.1; done", within: 60)
                let streamed = try await guest.run("tail -n 1 /run/stream.out").output
                #expect(streamed == "EFAULT", "the drive's transfer ended with \(streamed)")
                try await guest.run("test ! -e \(pool)")
            }
            try await machine.step("after which there may be another") {
                let again = try await machine.create(on: "card0", "--mode p2pdma --size max")
                #expect(again.size == 128 << 20)
                try await guest.run("iopmemctl unbind \(card) --yes && rmmod iopmem")
            }
        }
    }

    @Test(
        "a kernel without it says what is missing, and what to use instead",
        arguments: kernels(withP2PDMA: false))
    func missing(on kernel: Kernel) async throws {
        try await scenario(Topology(.card("card0", megabytes: 64)), on: kernel) { machine in
            let card = try await machine.function("card0").address
            try await machine.guest.run("modprobe iopmem")
            for setUp in ["true", "iopmemctl bind \(card)"] {
                let said = try await machine.refused(
                    6, "\(setUp) >&2 && iopmemctl create --device \(card) --mode p2pdma")
                #expect(said.contains("CONFIG_PCI_P2PDMA"), "it said \(said)")
                #expect(said.contains("--mode devdax"), "it said \(said)")
            }
        }
    }
}
