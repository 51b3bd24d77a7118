// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// What a file in /etc/iopmem/shares says: how the namespace whose UUID is its name is exported.
struct ShareFile {
    static let folder = "/etc/iopmem/shares"

    static func path(of uuid: NamespaceUUID) -> String { "\(folder)/\(uuid).conf" }

    let request: ShareRequest

    /// Its text.
    var text: String {
        let hosts = request.hosts.map { $0.joined(separator: " ") } ?? "any"
        return """
            # How iopmemctl share exports this namespace, over NVMe/TCP.
            [share]
            address = \(request.address)
            port = \(request.port)
            hosts = \(hosts)

            """
    }

    /// Reads one.
    static func read(_ path: String, root: SystemRoot) throws(IopmemError) -> ShareFile {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try root.bytes(path)
        } catch {
            throw IopmemError(error, "cannot read \(path)")
        }
        let text = ConfigText(bytes: bytes)
        var objections = text.objections
        var file: ShareFile?
        for section in text.sections where section.name == "share" {
            var values = SectionReader(section)
            let address = values.take("address", as: { $0 }, "192.0.2.1", isNeeded: true)
            let port = values.take("port", as: { UInt16($0) }, "4420") ?? 4420
            let hosts = values.take("hosts", as: { $0 }, "any, or NQNs", isNeeded: true)
            objections += values.finish()
            guard let address, let hosts else { continue }
            let names = hosts.split(separator: " ").map(String.init)
            file = ShareFile(
                request: ShareRequest(
                    address: address, port: port, hosts: hosts == "any" ? nil : names))
        }
        guard let file, objections.isEmpty else {
            throw IopmemError(
                .failed, "\(path) cannot be understood",
                because: objections.first.map { $0.sentence(in: path) } ?? "there is no [share]",
                remedy: "remove it, and share the namespace again")
        }
        return file
    }
}
