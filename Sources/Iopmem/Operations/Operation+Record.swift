// SPDX-License-Identifier: GPL-2.0
import Logging

/// What was changed goes into the journal, once it is done and stays.
extension Operation {
    func record(_ deed: String, _ namespace: Namespace) {
        var metadata: Logger.Metadata = [
            "uuid": "\(namespace.uuid)", "dev": "\(namespace.dev)", "region": "\(namespace.region)",
            "device": "\(namespace.device)",
        ]
        if !namespace.name.isEmpty { metadata["name"] = "\(namespace.name)" }
        host.journal.notice("\(deed)", metadata: metadata)
    }

    func record(_ deed: String, _ region: Region) {
        host.journal.notice(
            "\(deed)", metadata: ["region": "\(region.dev)", "device": "\(region.device)"])
    }

    func record(_ deed: String, _ address: PCIAddress) {
        host.journal.notice("\(deed)", metadata: ["device": "\(address)"])
    }
}

extension Namespace {
    /// `created iopmem0n1: fsdax, 64 MiB at 2 MiB of iopmem0`
    func creation(_ deed: String) -> String {
        "\(deed) \(dev): \(mode.rawValue), \(ByteSize.display(size)) at"
            + " \(ByteSize.display(offset)) of \(region)"
    }
}
