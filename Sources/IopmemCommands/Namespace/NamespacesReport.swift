// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// Namespaces that a command made or unmade.
struct NamespacesReport: Report {
    let namespaces: [Namespace]

    private enum CodingKeys: String, CodingKey { case namespaces }

    var sections: [ReportSection] {
        guard !namespaces.isEmpty else { return [.text("No namespace.")] }
        var table = Table(
            .text("NAMESPACE"), .text("NAME"), .text("MODE"), .number("SIZE"), .text("DEVICE"),
            .number("BAR"), .text("PATH"), .text("UUID"))
        for namespace in namespaces {
            table.add(
                namespace.dev, namespace.name, namespace.mode.rawValue,
                ByteSize.display(namespace.size), "\(namespace.device)", "\(namespace.bar)",
                namespace.path, "\(namespace.uuid)")
        }
        return [.table(table)]
    }
}
