// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// The configuration of the kernel's NVMe target, read from configfs
/// (drivers/nvme/target/configfs.c).
struct TargetTree {
    static let path = "/sys/kernel/config/nvmet"

    let root: SystemRoot

    static func subsystem(_ nqn: String) -> String { "\(path)/subsystems/\(nqn)" }
    static func port(_ number: Int) -> String { "\(path)/ports/\(number)" }

    /// The subsystems that export a node, and those that did before it went.
    func subsystems(exporting node: String) -> [String] {
        entries("subsystems").filter { nqn in
            let namespaces = "\(Self.subsystem(nqn))/namespaces"
            return ((try? root.entries(namespaces)) ?? []).contains {
                root.optionalText("\(namespaces)/\($0)/device_path") == node
            }
        }
    }

    /// The numbers of the ports at which a subsystem can be reached.
    func ports(of nqn: String) -> [Int] {
        ports.filter { root.exists("\(Self.port($0))/subsystems/\(nqn)") }
    }

    /// All ports, by number.
    var ports: [Int] { entries("ports").compactMap { Int($0) }.sorted() }

    /// Whether a port is at that address already.
    func isPort(_ number: Int, at request: ShareRequest) -> Bool {
        attribute(number, "trtype") == "tcp" && attribute(number, "traddr") == request.address
            && attribute(number, "trsvcid") == "\(request.port)"
    }

    private func attribute(_ number: Int, _ name: String) -> String? {
        root.optionalText("\(Self.port(number))/addr_\(name)")
    }

    /// The hosts that may connect to a subsystem; nil: any.
    func hosts(of nqn: String) -> [String]? {
        let subsystem = Self.subsystem(nqn)
        guard root.optionalText("\(subsystem)/attr_allow_any_host") != "1" else { return nil }
        return (try? root.entries("\(subsystem)/allowed_hosts")) ?? []
    }

    /// How a node is exported over TCP, once for each address.
    func shares(of node: String, dev: String) -> [Share] {
        subsystems(exporting: node).flatMap { nqn in
            ports(of: nqn).compactMap { number in
                guard attribute(number, "trtype") == "tcp",
                    let address = attribute(number, "traddr"),
                    let port = attribute(number, "trsvcid").flatMap({ UInt16($0) })
                else { return nil }
                return Share(
                    dev: dev, nqn: nqn, address: address, port: port, hosts: hosts(of: nqn))
            }
        }
    }

    private func entries(_ folder: String) -> [String] {
        (try? root.entries("\(Self.path)/\(folder)")) ?? []
    }
}
