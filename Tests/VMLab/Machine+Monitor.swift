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

    /// The memory at a physical address is found bad, as by a processor that scrubs it: an uncorrected
    /// error about which nothing has to be done at once (Intel SDM vol. 3, "Machine-Check Architecture").
    ///
    /// Of bank 9; with the flags of a valid address and of one that can be recovered from, and with the
    /// code for memory scrubbing.
    public func machineCheck(at address: UInt64) async throws {
        let answer = try await monitor(
            "mce -b 0 9 0xbd000000000000c0 0x5 0x\(String(address, radix: 16)) 0x8c")
        guard answer.isEmpty else { throw LabError("no machine check: \(answer)") }
    }
}
