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

    /// What a text says; without a file if anything is wrong with it.
    struct Reading {
        var file: ShareFile?
        var objections: [ConfigObjection]
    }

    /// Reads one.
    static func read(_ path: String, root: SystemRoot) throws(IopmemError) -> ShareFile {
        let reading = Self.reading(of: try CardFolder.text(path, root: root))
        guard let file = reading.file else {
            throw IopmemError(
                .failed, "\(path) cannot be understood",
                because: reading.objections.first?.sentence(in: path),
                remedy: "remove it, and share the namespace again")
        }
        return file
    }

    /// Makes sense of a text.
    static func reading(of text: ConfigText) -> Reading {
        var objections = text.objections
        var files: [ShareFile] = []
        var isFound = false
        for section in text.sections {
            guard section.name == "share" else {
                objections.append(
                    ConfigObjection(section.place, "[\(section.name)] is unknown: [share]"))
                continue
            }
            if isFound {
                objections.append(ConfigObjection(section.place, "a second [share]"))
            }
            isFound = true
            var values = SectionReader(section)
            let address = values.take("address", as: { $0 }, "192.0.2.1", isNeeded: true)
            let port = values.take("port", as: { UInt16($0) }, "4420") ?? 4420
            let hosts = values.take("hosts", as: Hosts.init, "any, or NQNs", isNeeded: true)
            objections += values.finish()
            guard let address, let hosts else { continue }
            files.append(
                ShareFile(
                    request: ShareRequest(address: address, port: port, hosts: hosts.names)))
        }
        if !isFound, objections.isEmpty {
            objections.append(ConfigObjection(ConfigPlace(line: 1, column: 1), "no [share]"))
        }
        return Reading(file: objections.isEmpty ? files.first : nil, objections: objections)
    }

    /// Who may connect: `any`, or names with blanks between them.
    private struct Hosts {
        let names: [String]?

        init?(_ text: String) {
            guard text != "any" else {
                names = nil
                return
            }
            let words = text.split { $0.isBlank }.map(String.init)
            guard words.allSatisfy({ ShareRequest.objection(toHost: $0) == nil }) else {
                return nil
            }
            names = words
        }
    }
}
