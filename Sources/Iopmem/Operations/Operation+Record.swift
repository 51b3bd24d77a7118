// SPDX-License-Identifier: GPL-2.0
import Logging

/// What was changed goes into the journal, once it is done and stays; and what could not be done,
/// once.
extension Operation {
    func record(_ deed: String, _ namespace: Namespace) {
        host.journal.notice("\(deed)", metadata: namespace.journalFields)
    }

    func record(_ deed: String, _ region: Region) {
        host.journal.notice("\(deed)", metadata: region.journalFields)
    }

    func record(_ deed: String, _ address: PCIAddress) {
        host.journal.notice("\(deed)", metadata: address.journalFields)
    }

    /// Does something, and writes down why it failed if it does. Only where the whole operation
    /// begins, so that what is part of another is not written down twice.
    ///
    /// A plan changes nothing, and so nothing of it is written down.
    func recordingFailure<Result>(
        of subject: Logger.Metadata, unless isPlan: Bool,
        _ deed: () throws(IopmemError) -> Result
    ) throws(IopmemError) -> Result {
        do throws(IopmemError) {
            return try deed()
        } catch {
            if !isPlan { recordFailure(error, subject) }
            throw error
        }
    }

    /// Writes a failure down; not a wrong command line, of which only its author need know.
    func recordFailure(_ error: IopmemError, _ subject: Logger.Metadata) {
        guard error.code != .usage else { return }
        let fields = subject.merging(["error": "\(error.code.rawValue)"]) { $1 }
        host.journal.error("\(error.message)", metadata: fields)
    }
}

extension Namespace {
    /// What the journal's entries about it can be found by.
    var journalFields: Logger.Metadata {
        var fields: Logger.Metadata = [
            "uuid": "\(uuid)", "dev": "\(dev)", "region": "\(region)", "device": "\(device)",
        ]
        if !name.isEmpty { fields["name"] = "\(name)" }
        return fields
    }

    /// `created iopmem0n1: fsdax, 64 MiB at 2 MiB of iopmem0`
    func creation(_ deed: String) -> String {
        "\(deed) \(dev): \(mode.rawValue), \(ByteSize.display(size)) at"
            + " \(ByteSize.display(offset)) of \(region)"
    }
}

extension Region {
    /// What the journal's entries about it can be found by.
    var journalFields: Logger.Metadata { ["region": "\(dev)", "device": "\(device)"] }
}

extension CreateRequest {
    /// What the journal's entries about it can be found by: there is no UUID yet.
    var journalFields: Logger.Metadata {
        var fields = device.journalFields
        if !name.isEmpty { fields["name"] = "\(name)" }
        return fields
    }
}

extension NamespaceUUID {
    /// What the journal's entries about a namespace that has gone can be found by.
    var journalFields: Logger.Metadata { ["uuid": "\(self)"] }
}

extension PCIAddress {
    /// What the journal's entries about it can be found by.
    var journalFields: Logger.Metadata { ["device": "\(self)"] }
}
