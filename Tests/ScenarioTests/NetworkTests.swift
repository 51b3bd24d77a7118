// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// From the card's memory to a network card and back, without a copy where it is sent.
///
///     card0 ── MSG_ZEROCOPY ──► net0 ── QEMU's hub ── net1 ── recv ──► card0, elsewhere
///                               (e1000e)              (e1000e, in a network namespace of its own)
///
/// The network card has to compute checksums itself. For one that does not, virtio on such a wire
/// among them, the kernel copies what could change under it (skb_checksum_help() in net/core/dev.c).
@Suite("Network")
struct NetworkTests {
    static let topology = Topology(
        .card("card0", megabytes: 64), .linked("net0", "net1"))
    /// Bytes that are sent.
    static let length = 4 << 20

    @Test("sent from the BAR by MSG_ZEROCOPY, received into it", arguments: Kernel.supported)
    func sockets(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let namespace = try await machine.create(on: "card0", "--mode devdax --size max")
            try await machine.wireNetworkCards()
            try await guest.run("head -c \(Self.length) /dev/urandom >\(namespace.path)")
            let second = 32 << 20
            let (sent, bytes) = try await machine.step("sent and received") {
                try await machine.sent(
                    during: """
                        cd /run
                        setsid ip netns exec far iopmem-guest tcp-receive \(namespace.path) \(second) \\
                            \(Self.length) >received 2>&1 &
                        until grep -q listening received; do sleep 0.1; done
                        iopmem-guest tcp-send \(namespace.path) 0 \(Self.length) 10.9.0.2
                        until grep -q 'received \(Self.length)' received; do sleep 0.1; done
                        """)
            }
            // The network card itself fetched it from there: some of it twice, where it sent again, and
            // all but the first 4 bytes of a packet, which its driver puts beside the header
            // (e1000_xmit_frame() in drivers/net/ethernet/intel/e1000e/netdev.c).
            let bar = try #require(try await machine.function("card0").bars[2])
            let start = bar.lowerBound + UInt64(namespace.offset)
            var end = start
            for piece in bytes.map(\.addresses).sorted(by: { $0.lowerBound < $1.lowerBound })
            where piece.lowerBound <= end + 4 && end <= piece.upperBound {
                end = piece.upperBound
            }
            #expect(end == start + UInt64(Self.length))
            // Every notice says that the network card took it from where it was.
            #expect(sent.hasPrefix("sent \(Self.length), "))
            #expect(!sent.contains(", 0 notices"), "it said \(sent)")
            #expect(sent.hasSuffix(", 0 copied"), "it said \(sent)")
            let memory = machine.storage.card("card0")
            #expect(
                try Storage.bytes(of: memory, offset: namespace.offset, count: Self.length)
                    == Storage.bytes(
                        of: memory, offset: namespace.offset + second, count: Self.length))
            // What is sent to the same machine is copied (skb_orphan_frags_rx()).
            try await machine.step("where the kernel has to copy, the notices say so") {
                let looped = try await guest.run(
                    """
                    cd /run
                    setsid iopmem-guest tcp-receive \(namespace.path) \(second) \(Self.length) \
                        >looped 2>&1 &
                    until grep -q listening looped; do sleep 0.1; done
                    iopmem-guest tcp-send \(namespace.path) 0 \(Self.length) 127.0.0.1
                    """
                ).output
                #expect(!looped.hasSuffix(", 0 copied"), "it said \(looped)")
            }
        }
    }
}
