// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl doctor`
public struct DoctorCommand: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for everything that could stop this machine from working.",
        discussion: """
            Changes nothing. Each finding comes with its remedy; the exit status is 1 if there \
            is a problem. With a BDF it says why that device can or cannot be used; without, it \
            looks at devices that are bound, that a file in /etc/iopmem describes, that could be \
            bound, or that only lack an address for their memory.

            It looks at the kernel's configuration and command line; at the module: installed, \
            signed where that is needed, of the tool's version; at BARs: address, size, sizes \
            that they could be given, reach of the kernel; at the link, memory decoding, cache \
            attributes and the IOMMU; at other devices: bus mastering, DMA masks, trust, the way \
            to the memory; at mounts without DAX in effect, and why; at udev rules, units and \
            the files in /etc/iopmem.

            EXAMPLES
              iopmemctl doctor
              iopmemctl doctor 0000:03:00.0 -o json
            """)

    @Argument(help: "PCI functions, written like 0000:03:00.0.", completion: .functionWithMemory)
    var functions: [PCIAddress] = []

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Examines and shows.
    public func run(in context: Context) throws(IopmemError) {
        let doctor = Doctor(context.host, release: Iopmemctl.version)
        let report = DoctorReport(checks: try doctor.examine(functions))
        try context.console.show(report)
        try report.failOnProblem()
    }
}

/// Findings, as `doctor` and `labels check` show them.
struct DoctorReport: Report {
    let checks: [Check]

    private enum CodingKeys: String, CodingKey { case checks }

    var sections: [ReportSection] {
        let lines = checks.map { check in
            let line = "\(label(check.status))  \(check.subject): \(check.finding)"
            return check.remedy.map { "\(line)\n         remedy: \($0)" } ?? line
        }
        let count = { (status: Check.Status) in checks.filter { $0.status == status }.count }
        let counted = { (number: Int, word: String) in "\(number) \(word)\(number == 1 ? "" : "s")"
        }
        return [
            .text(lines.joined(separator: "\n")),
            .text(
                "\(counted(checks.count, "check")): \(counted(count(.problem), "problem")),"
                    + " \(counted(count(.warning), "warning")), \(count(.unknown)) unknown."),
        ]
    }

    /// Exit 1 with all problems and the first one's remedy.
    func failOnProblem() throws(IopmemError) {
        let problems = checks.filter { $0.status == .problem }
        guard !problems.isEmpty else { return }
        throw IopmemError(
            .failed, problems.count == 1 ? "1 problem" : "\(problems.count) problems",
            because: problems.map { "\($0.subject): \($0.finding)" }.joined(separator: "; "),
            remedy: problems.first?.remedy)
    }

    private func label(_ status: Check.Status) -> String {
        let word = status.rawValue
        return word + String(repeating: " ", count: 7 - word.count)
    }
}
