// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// Boots a machine for a test, named after the test for what is kept of a failure.
func scenario(
    _ topology: Topology, on kernel: Kernel, expecting: [String] = [],
    preparation: Preparation = Preparation(),
    _ body: (Machine) async throws -> Void
) async throws {
    let name = Test.current?.name.prefix { $0 != "(" } ?? "scenario"
    try await Machine.run(
        topology, kernel: kernel, name: String(name), expecting: expecting,
        preparation: preparation, body)
}

/// What `iopmemctl list -o json` says; only what scenarios look at.
struct Listing: Decodable {
    let schema: Int
    let namespaces: [Namespace]
    let regions: [Region]

    struct Region: Decodable, Equatable {
        let dev: String
        let device: String
        let size: Int
        let available_size: Int
        let max_available_extent: Int
    }

    func namespace(_ dev: String) throws -> Namespace {
        try #require(namespaces.first { $0.dev == dev }, "no namespace \(dev)")
    }
}

/// A namespace as iopmemctl prints it.
struct Namespace: Decodable, Equatable {
    let dev: String
    let uuid: String
    let mode: String
    let size: Int
    let offset: Int
    let region: String
    let device: String
    let path: String
    let state: String
}

/// What `iopmemctl create -o json` prints.
struct Created: Decodable {
    let namespaces: [Namespace]
}

/// What `iopmemctl verify -o json` prints; only what scenarios look at.
struct Verified: Decodable {
    let verify: Verdict

    struct Verdict: Decodable {
        let result: String
        let bytes_verified: Int
        let mismatches: [JSONValue]
        let placement: Placement?
        let p2p: [Transfer]
        let promises: Promises?
    }

    struct Promises: Decodable {
        let loop: Int
        let promised: Int
        let kept: Int
        let broken: Int
        let window: Int
        let window_torn: Int
    }

    struct Placement: Decodable {
        let pages_checked: Int
        let pages_in_bar: Int
    }

    struct Transfer: Decodable {
        let peer: String
        let direction: String
        let bytes: Int
        let result: String
        let evidence: String
    }
}

/// A line of `iopmemctl monitor -o json`; only what scenarios look at.
struct Event: Decodable {
    let event: String
    let dev: String
    let device: String
    let uuid: String?
    let bad_blocks: Int?
}

extension Machine {
    /// Starts to write down what happens; see ``events()``.
    func startMonitor() async throws {
        try await guest.run(
            """
            setsid iopmemctl monitor -o json >/run/events 2>/run/monitor.err &
            until grep -q following /run/monitor.err; do sleep 0.2; done
            """)
    }

    /// What a monitor has heard since it was started.
    func events() async throws -> [Event] {
        try await guest.run("udevadm settle; cat /run/events").jsonLines()
    }

    /// Makes a namespace on a card, loading the driver if need be.
    func create(on card: String, _ options: String) async throws -> Namespace {
        let device = try await function(card).address
        let created: Created = try await guest.run(
            "modprobe iopmem && iopmemctl create --device \(device) \(options) -o json"
        ).json()
        return try #require(created.namespaces.first)
    }

    /// The node of an NVMe drive: which of several is /dev/nvme0n1 is chance.
    func node(ofDrive name: String) async throws -> String {
        try await guest.run(
            "grep -lwx '\(name) *' /sys/class/nvme/*/serial | sed 's,.*/\\(nvme[0-9]*\\)/.*,/dev/\\1n1,'"
        ).output
    }

    /// Puts the second of two linked network cards into a network namespace, `far`: 10.9.0.1 here,
    /// 10.9.0.2 there.
    func wireNetworkCards() async throws {
        try await guest.run(
            """
            modprobe e1000e
            udevadm settle
            name() { basename $(dirname $(grep -l $1 /sys/class/net/*/address)); }
            near=$(name 52:54:00:10:00:00)
            far=$(name 52:54:00:10:00:01)
            ip netns add far
            ip link set $far netns far
            ip address add 10.9.0.1/24 dev $near
            ip link set $near up
            ip -n far address add 10.9.0.2/24 dev $far && ip -n far link set $far up
            # A driver may look at its link only every two seconds, and a connection is given up
            # after three in which nobody answered (mcast_solicit, arp(7)).
            until ip link show $near | grep -q 'state UP'; do sleep 0.1; done
            until ip -n far link show $far | grep -q 'state UP'; do sleep 0.1; done
            """)
    }

    /// Software RDMA, `rxe0`, at 10.7.0.1.
    func startSoftwareRDMA() async throws {
        try await guest.run(
            """
            modprobe rdma_rxe
            ip link add dummy0 type dummy
            ip address add 10.7.0.1/24 dev dummy0
            ip link set dummy0 up
            rdma link add rxe0 type rxe netdev dummy0
            """)
    }

    /// What there is.
    func list() async throws -> Listing {
        try await guest.run("iopmemctl list -o json").json()
    }

    /// Runs something that must be refused with this exit status, and returns what it said.
    func refused(_ status: Int, _ script: String) async throws -> String {
        try await guest.run(script, status: status).errors
    }
}

/// A file system that namespaces are mounted with.
enum FileSystem: CaseIterable {
    case ext4
    case xfs

    /// Makes one for DAX and mounts it.
    func mount(_ node: String, at folder: String) -> String {
        let make =
            switch self {
            case .ext4: "mkfs.ext4 -q -b 4096 \(node)"
            // Smaller than what mkfs.xfs recommends, which is 300 MiB.
            case .xfs: "mkfs.xfs -q --unsupported -m reflink=0 \(node)"
            }
        return "\(make) && mkdir -p \(folder) && mount -o dax=always \(node) \(folder)"
    }
}
