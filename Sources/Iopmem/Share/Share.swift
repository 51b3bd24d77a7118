// SPDX-License-Identifier: GPL-2.0

/// A namespace that the kernel's NVMe target exports over TCP.
public struct Share: Sendable, Equatable {
    /// The kernel's name of the namespace.
    public var dev: String
    /// The NVMe qualified name of the subsystem that it is in.
    public var nqn: String
    /// The address that is listened at.
    public var address: String
    /// The TCP port.
    public var port: UInt16
    /// The NQNs of the hosts that may connect; nil: any.
    public var hosts: [String]?

    /// That export.
    public init(dev: String, nqn: String, address: String, port: UInt16, hosts: [String]?) {
        self.dev = dev
        self.nqn = nqn
        self.address = address
        self.port = port
        self.hosts = hosts
    }

    /// The name of a namespace's subsystem: of its UUID, as the NVMe Base Specification has it
    /// ("NVMe Qualified Names"), so that it stays when the card is moved.
    static func nqn(of uuid: NamespaceUUID) -> String { "nqn.2014-08.org.nvmexpress:uuid:\(uuid)" }

    /// The namespace that an NQN of ours names; nil for others.
    static func uuid(in nqn: String) -> NamespaceUUID? {
        let prefix = "nqn.2014-08.org.nvmexpress:uuid:"
        guard nqn.hasPrefix(prefix) else { return nil }
        return NamespaceUUID(String(nqn.dropFirst(prefix.count)))
    }
}

extension Share: Encodable {
    private enum CodingKeys: String, CodingKey {
        case dev, nqn, address, port, hosts
    }
}

/// How a namespace shall be exported.
public struct ShareRequest: Sendable, Equatable {
    /// The IP address to listen at.
    public var address: String
    /// The TCP port; 4420 is the one assigned to NVMe.
    public var port: UInt16
    /// The NQNs of the hosts that may connect; nil: any.
    public var hosts: [String]?
    /// Do not write it down: it ends with the kernel.
    public var once: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(
        address: String = "127.0.0.1", port: UInt16 = 4420, hosts: [String]? = nil,
        once: Bool = false, dryRun: Bool = false
    ) {
        self.address = address
        self.port = port
        self.hosts = hosts
        self.once = once
        self.dryRun = dryRun
    }

    /// Whether only this machine can reach the address.
    public var isLocal: Bool { address.hasPrefix("127.") || address == "::1" }

    /// What the target calls the kind of address.
    var family: String { address.contains(":") ? "ipv6" : "ipv4" }

    /// Why a word cannot be a host's NQN; nil if it can (NVMe Base Specification, "NVMe Qualified
    /// Names": at most 223 bytes).
    public static func objection(toHost nqn: String) -> String? {
        guard nqn.hasPrefix("nqn."), nqn.utf8.count <= 223,
            nqn.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "/") })
        else { return "a host's name is an NQN, as in /etc/nvme/hostnqn" }
        return nil
    }
}
