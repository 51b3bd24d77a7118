// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What somebody should see before data are lost: whose memory or which drive it is, what is
/// recognised on it, and where that is mounted.
public struct DataAtRisk: Sendable, Equatable {
    /// One fact each, for people.
    public private(set) var lines: [String] = []

    /// Of a whole namespace.
    public init(of namespace: Namespace, on host: any Host) {
        self.init(
            node: namespace.path, isBlock: namespace.isBlock, disk: namespace.dev, namespace,
            on: host)
    }

    /// Of a disk or a partition of it, or of memory that programs map.
    ///
    /// - Parameters:
    ///   - node: The path of the node that is to be written.
    ///   - isBlock: Whether it is a block device, on which a file system may be.
    ///   - disk: The kernel's name of the whole disk, if it is known.
    ///   - namespace: The namespace that it is, or is a part of.
    public init(
        node: String, isBlock: Bool, disk: String?, _ namespace: Namespace?, on host: any Host
    ) {
        if let namespace {
            lines += Self.identity(of: namespace, host)
        } else if let disk, let model = Self.model(ofDisk: disk, host) {
            lines.append(model)
        }
        guard isBlock else { return }
        let usage = BlockUsage(host: host)
        let types = ((try? host.signatures(onNode: node)) ?? []).map { signature in
            let words = signature.kind == .partitionTable ? "partition table" : "file system"
            return "\(words) \(signature.type)" + (signature.label.map { " \"\($0)\"" } ?? "")
        }
        let holders = (disk.map { usage.nodes(ofDisk: $0, at: "/sys/class/block/\($0)") } ?? [])
            .flatMap { part in
                usage.fileHolders(of: part).map {
                    part.path == node ? $0.description : "\(part.name) \($0)"
                }
            }
        lines.append(
            ((types.isEmpty ? ["no file system"] : types) + holders).joined(separator: ", "))
    }

    private static func identity(of namespace: Namespace, _ host: any Host) -> [String] {
        let name = namespace.name.isEmpty ? "" : " \(namespace.name)"
        let device = try? DeviceList(root: host.root, only: namespace.device)
            .device(at: namespace.device)
        let card = [device?.name, device?.serial.map { "serial \($0)" }].compactMap { $0 }
        return [
            "\(namespace.dev)\(name): \(ByteSize.display(namespace.size)),"
                + " \(namespace.mode.rawValue), UUID \(namespace.uuid)",
            "on BAR \(namespace.bar) of \(namespace.device)"
                + card.map { ", \($0)" }.joined(),
        ]
    }

    /// As the disk's driver says it in sysfs (SCSI, NVMe, MMC): not every one does.
    private static func model(ofDisk disk: String, _ host: any Host) -> String? {
        let directory = "/sys/class/block/\(disk)"
        func attribute(_ name: String) -> String? {
            let text = host.root.optionalText("\(directory)/\(name)")?
                .split(whereSeparator: \.isWhitespace).joined(separator: " ")
            return text?.isEmpty == false ? text : nil
        }
        let model = attribute("device/model") ?? attribute("device/name")
        let serial = attribute("device/serial") ?? attribute("serial")
        let facts = [model, serial.map { "serial \($0)" }].compactMap { $0 }
        return facts.isEmpty ? nil : "\(disk): \(facts.joined(separator: ", "))"
    }
}
