// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Memory of a card as dma-bufs, for a device with DMA of its own (QEMU's edu, whose driver is the
/// test's), for programs and for a camera (CameraTests).
@Suite("DMA-bufs")
struct DMABufTests {
    /// Where card and importer are, and the processor that decides about host bridges.
    struct Place: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let topology: Topology
        /// What `iopmemctl topology` says of it.
        let verdict: String

        static let card = Topology.Node.card("card0", megabytes: 64)
        static let edu = Topology.Node.edu("edu0")

        /// QEMU has no switches that route by themselves: there only addresses are looked at.
        static let translatedSwitch = "below one switch, translated"
        /// Where a device gets the memory's own addresses by a DMA mapping.
        static let beyondReach = "behind two root ports of a Zen"

        static let all = [
            Place("below one switch", Topology(.switch("sw0", card, edu)), "bus_addr"),
            Place(
                translatedSwitch, Topology(.switch("sw0", card, edu)).translatingDMA(), "bus_addr"),
            Place(
                beyondReach,
                Topology(.rootPort("rp0", card), .rootPort("rp1", edu)).onProcessor("EPYC"),
                "through_host_bridge"),
            Place(
                "behind two host bridges of a Zen, translated",
                Topology(.rootPort("rp0", card), .hostBridge("pxb0", bus: 64, children: [edu]))
                    .onProcessor("EPYC").translatingDMA(), "through_host_bridge"),
            Place(
                "behind two root ports",
                Topology(.rootPort("rp0", card), .rootPort("rp1", edu)), "not_supported"),
        ]

        init(_ description: String, _ topology: Topology, _ verdict: String) {
            testDescription = description
            self.topology = topology
            self.verdict = verdict
        }
    }

    @Test(
        "a device copies within the BAR wherever topology says that it reaches it",
        arguments: Kernel.supported.flatMap { kernel in
            kernel.share(of: Place.all).map { (kernel, $0) }
        })
    func importer(on kernel: Kernel, _ place: Place) async throws {
        try await scenario(place.topology, on: kernel, preparation: try .importer()) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0")
            let bar = try #require(card.bars[2])
            let edu = try await machine.function("edu0").address
            try await guest.run("modprobe iopmem-importer")
            let namespace = try await machine.create(on: "card0", "--mode devdax --size 32M")
            let region = "/dev/\(namespace.region)"

            try await machine.step("driver, tool and kernel agree: \(place.verdict)") {
                let listing: Pairs = try await guest.run(
                    "iopmemctl topology --provider \(card.address) --client \(edu) -o json"
                ).json()
                let said = try #require(listing.pairs.first)
                #expect(said.verdict == place.verdict)
                let words = edu.split { ":.".contains($0) }.joined(separator: " ")
                let judged = try await guest.run("iopmem-guest judge \(region) \(words)").output
                    .split(separator: "\n", omittingEmptySubsequences: false)
                let verdict = judged[0].split(separator: " ").map(String.init)
                #expect(verdict[0] == place.verdict)
                #expect(verdict[1] == "\(said.distance)")
                switch (Int(verdict[2]), place.verdict) {
                // Where the kernel has no opinion: -EOPNOTSUPP.
                case (-95, _): #expect(kernel.series.hasPrefix("6."))
                case (let distance?, "not_supported"): #expect(distance < 0)
                case (let distance, _): #expect(distance == said.distance)
                }
                #expect(
                    (judged.dropFirst().first?.isEmpty ?? true)
                        == (place.verdict != "not_supported"))
            }
            let words =
                "\(region) \(try id(of: namespace)) \(namespace.uuid) 4194304 8388608"
            guard place.verdict != "not_supported" else {
                try await machine.step("it is refused when it attaches, with the reason") {
                    let said = try await guest.run("iopmem-guest importer obedient \(words)").output
                    #expect(said == "refused EOPNOTSUPP")
                    let log = try await guest.run("dmesg | grep 'no dma-bu[f] for \(edu)'").output
                    #expect(
                        log.contains("the root complex is not known to forward"), "it said \(log)")
                }
                return
            }
            guard place.testDescription != Place.translatedSwitch else {
                try await machine.step("its device gets the address on the bus, untranslated") {
                    let said = try await guest.run(
                        "iopmem-guest importer obedient \(words) look"
                    ).output
                    let start = bar.lowerBound + UInt64(namespace.offset + (4 << 20))
                    #expect(said.hasPrefix("mapped 0x\(String(start, radix: 16)) "), "\(said)")
                }
                return
            }
            for kind in ["obedient", "old"] {
                try await machine.step("an \(kind) importer") {
                    let permission = kind == "old" ? "any" : ""
                    let said = try await guest.run(
                        "iopmem-guest importer \(kind) \(words) \(permission)"
                    ).output.split(separator: "\n").map(String.init)
                    #expect(said.last == "copied")
                    let address = try #require(
                        said.first?.split(separator: " ").dropFirst().first.flatMap {
                            UInt64($0.dropFirst(2), radix: 16)
                        })
                    let start = bar.lowerBound + UInt64(namespace.offset + (4 << 20))
                    // By a bus address, which is the same here; or by what the IOMMU translates.
                    #expect((address == start) == !place.topology.translatesDMA)
                    let bytes = try Storage.bytes(
                        of: machine.storage.card("card0"),
                        offset: namespace.offset + (12 << 20) - 4096, count: 4096)
                    #expect(
                        Array(bytes) == (0..<4096).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) })
                }
            }
            try await machine.step("one that may look for pages is not let in unasked") {
                let said = try await guest.run("iopmem-guest importer old \(words)").output
                #expect(said == "refused EOPNOTSUPP")
                try await guest.run("dmesg | grep 'has not declared allow_peer2pee[r]'")
            }
            try await guest.run("rmmod iopmem-importer")
            guard place.testDescription == Place.beyondReach else { return }
            try await machine.step("nothing is copied for a device that does not reach so far") {
                try await guest.run("modprobe iopmem-importer mask=28")
                let said = try await guest.run("iopmem-guest importer obedient \(words)").output
                #expect(said == "refused EIO")
                try await guest.run("dmesg | grep 'DMA mask 0xfffffff ends before the memor[y]'")
                try await guest.run("rmmod iopmem-importer")
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

    /// iopmem0n1's number is 1.
    private func id(of namespace: Namespace) throws -> String {
        String(try #require(namespace.dev.split(separator: "n").last))
    }

    static let pair = Topology(
        .switch("sw0", .card("card0", megabytes: 128), .edu("edu0")))

    @Test(
        "whole pages of namespaces and of free space are lent, and nothing else",
        arguments: Kernel.supported)
    func ranges(on kernel: Kernel) async throws {
        try await scenario(Self.pair, on: kernel, preparation: try .importer()) { machine in
            let guest = machine.guest
            let namespace = try await machine.create(on: "card0", "--mode devdax --size 32M")
            let edu = try await machine.function("edu0").address
            let region = "/dev/\(namespace.region)"
            try await machine.step("what can be asked for, and what cannot") {
                let said = try await guest.run(
                    "iopmem-guest dmabuf \(region) \(try id(of: namespace)) \(namespace.uuid)"
                        + " \(namespace.path) \(64 << 20)"
                ).output
                #expect(!said.contains("failed"), "\(said)")
                #expect(said.split(separator: "\n").count > 40)
            }
            try await guest.run("modprobe iopmem-importer")
            let raw = try await machine.create(on: "card0", "--mode raw --size 16M")
            let lent = [
                "\(try id(of: namespace)) \(namespace.uuid) 2097152",
                "\(try id(of: raw)) \(raw.uuid) 4096", "0 - \(64 << 20)",
            ]
            for words in lent {
                try await machine.step("a device, the kernel and a program: \(words)") {
                    let said = try await guest.run(
                        "iopmem-guest importer obedient \(region) \(words) 4194304 add"
                    ).output
                    #expect(said.hasSuffix("\ncopied\nadded"), "it said \(said)")
                }
            }
            try await guest.run("iopmemctl destroy \(raw.dev) --yes")
            try await machine.step("lent space is nobody else's, and keeps the device bound") {
                try await guest.run(
                    """
                    cd /run
                    setsid iopmem-guest importer obedient \(region) 0 - \(64 << 20) 4194304 hold >hold.out 2>&1 &
                    until grep -q copied hold.out; do sleep 0.1; done
                    """)
                let extent = try #require(try await machine.list().regions.first)
                #expect(extent.available_size == (128 - 32 - 4) << 20)
                #expect(extent.max_available_extent == 60 << 20)
                let tooLarge = try await machine.refused(
                    1, "iopmemctl create --device \(namespace.device) --mode raw --size 64M")
                #expect(tooLarge.contains("60M"), "it said \(tooLarge)")
                let beside = try await machine.create(on: "card0", "--mode raw --size 48M")
                #expect(beside.offset == 68 << 20)
                let kept = try await machine.refused(
                    4, "iopmemctl unbind \(namespace.device) --yes")
                #expect(kept.contains("made by iopmem-guest["), "it said \(kept)")
                #expect(kept.contains(edu), "it said \(kept)")
            }
            try await machine.step("unless it is taken away") {
                try await guest.run(
                    "iopmemctl unbind \(namespace.device) --yes --revoke", within: 60)
                try await guest.run(
                    "until grep -q 'let go' /run/hold.out; do sleep 0.1; done", within: 60)
                #expect(
                    try await guest.run("tail -4 /run/hold.out").output
                        == "copied\nSIGBUS\ndead\nlet go")
                try await guest.run("rmmod iopmem-importer && rmmod iopmem")
            }
        }
    }

    @Test("what is lent is held, and taken back when the card goes", arguments: Kernel.supported)
    func removal(on kernel: Kernel) async throws {
        let topology = Topology(
            .rootPort("rp0", reserve: 128, child: .card("card0", megabytes: 64)),
            .rootPort("rp1", .edu("edu0"))
        ).onProcessor("EPYC")
        try await scenario(topology, on: kernel, preparation: try .importer()) { machine in
            try await machine.guest.run("modprobe iopmem-importer")
            for kind in ["obedient", "stubborn", "old"] {
                try await machine.step("the card goes under an \(kind) importer") {
                    try await pull(from: kind, machine)
                }
                try await machine.plug(card: "card0", into: "rp0")
            }
            try await machine.step("others are not kept waiting by one that is waited for") {
                try await takeFromTwo(machine)
            }
            try await machine.step("the card goes while a path is all that is left of a dma-buf") {
                try await pullFromPath(machine)
            }
            try await machine.guest.run("rmmod iopmem-importer && rmmod iopmem")
        }
    }

    /// Lends memory to an importer, and takes the card away.
    private func pull(from kind: String, _ machine: Machine) async throws {
        let guest = machine.guest
        let waits = "dmesg | grep -c 'that cannot be taken bac[k]' || true"
        let before = try await guest.run(waits).output
        let namespace = try await machine.create(on: "card0", "--size 32M --map mem")
        let words = "/dev/\(namespace.region) \(try id(of: namespace)) \(namespace.uuid) 0 8388608"
        try await guest.run(
            """
            cd /run
            : >hold.out
            setsid iopmem-guest importer \(kind) \(words) any hold >hold.out 2>&1 &
            until grep -q copied hold.out; do sleep 0.1; done
            """)
        let said = try await machine.refused(4, "iopmemctl destroy \(namespace.dev) --yes")
        #expect(said.contains("it is open in iopmem-guest (pid "), "it said \(said)")
        try await machine.qmp.unplug("card0")
        try await guest.run(
            """
            until grep -q 'let go' /run/hold.out; do sleep 0.1; done
            until ! test -e /sys/class/iopmem/\(namespace.region); do sleep 0.1; done
            while pgrep -x iopmem-guest; do sleep 0.1; done
            """, within: 120)
        // Who can be told lets go at once; the others were waited for, and named.
        #expect((try await guest.run(waits).output != before) == (kind != "obedient"))
    }

    /// Two namespaces export at once. The importer of one keeps it until it is killed, with a second
    /// dma-buf that is closed before: that one's end must not wait for the removal, which waits for
    /// what is closed next.
    private func takeFromTwo(_ machine: Machine) async throws {
        let guest = machine.guest
        let kept = try await machine.create(on: "card0", "--size 16M --mode devdax")
        let other = try await machine.create(on: "card0", "--size 16M")
        func words(_ namespace: Namespace) throws -> String {
            "/dev/\(namespace.region) \(try id(of: namespace)) \(namespace.uuid) 0 8388608"
        }
        try await guest.run(
            """
            cd /run
            : >hold.out
            setsid iopmem-guest importer old \(try words(kept)) any stay >stay.out 2>&1 &
            setsid iopmem-guest importer obedient \(try words(other)) hold >hold.out 2>&1 &
            until grep -q copied stay.out && grep -q copied hold.out; do sleep 0.1; done
            """)
        try await guest.run(
            """
            setsid iopmemctl unbind \(kept.device) --yes --revoke >/run/unbind.out 2>&1 &
            until grep -q 'let go' /run/hold.out; do sleep 0.1; done
            until grep -q dead /run/stay.out; do sleep 0.1; done
            until dmesg | grep '\(kept.dev): removal waits .*made b[y]'; do sleep 0.5; done
            until grep 'waiting for .*taken back, made by' /run/unbind.out; do sleep 0.1; done
            test -e /sys/class/iopmem/\(kept.region)
            pkill -KILL -x iopmem-guest
            until ! test -e /sys/class/iopmem/\(kept.region); do sleep 0.1; done
            """, within: 120)
    }

    /// A dma-buf ends with its dentry, which outlives its file here.
    private func pullFromPath(_ machine: Machine) async throws {
        let guest = machine.guest
        let namespace = try await machine.create(on: "card0", "--size 16M --mode devdax")
        try await guest.run(
            """
            cd /run
            setsid iopmem-guest path /dev/\(namespace.region) \(try id(of: namespace)) \
                \(namespace.uuid) >path.out 2>&1 &
            until grep -q path path.out; do sleep 0.1; done
            """)
        let said = try await machine.refused(4, "iopmemctl destroy \(namespace.dev) --yes")
        #expect(said.contains("it is open in iopmem-guest (pid "), "it said \(said)")
        // Everything that walks the list of what is lent.
        try await guest.run("echo 1 >/sys/bus/pci/devices/\(namespace.device)/reset || true")
        try await machine.qmp.unplug("card0")
        try await guest.run(
            """
            until ! test -e /sys/class/iopmem/\(namespace.region); do sleep 0.1; done
            pkill -KILL -x iopmem-guest
            """, within: 60)
    }
}
