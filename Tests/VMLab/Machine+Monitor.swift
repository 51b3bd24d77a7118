// SPDX-License-Identifier: GPL-2.0

/// What a PCIe port found wrong, by QEMU's names (`hw/pci/pcie_aer.c`).
public enum PCIeError: String, Sendable {
    /// Of the data link protocol: fatal, and all that is below the port is reset.
    case dataLinkProtocol = "DLP"
    /// A request that nobody answered in time: it is lost, and all goes on.
    case completionTimeout = "COMP_TIME"
}

extension Machine {
    /// What QEMU's monitor for people answers, for what QMP has no command.
    func monitor(_ line: String) async throws -> String {
        let answer = try await qmp.execute(
            "human-monitor-command", ["command-line": .string(line), "cpu-index": .integer(0)])
        return answer.string ?? ""
    }

    /// A port reports an error, as by PCI Express Base Specification, "Advanced Error Reporting".
    ///
    /// - Throws: ``LabError`` if the port cannot.
    public func report(_ error: PCIeError, by port: String) async throws {
        let answer = try await monitor("pcie_aer_inject_error \(port) \(error.rawValue)")
        guard answer.hasPrefix("OK") else { throw LabError("\(port) reports no error: \(answer)") }
    }
}
