// SPDX-License-Identifier: GPL-2.0

/// The README's table of the ways to a BAR that were ever asked for: what shows that each works, or why
/// a kernel cannot.
public enum ProofTable {
    /// What a row says of a kernel.
    public enum Cell: Sendable {
        /// A scenario shows it: `CameraTests.capture`.
        case shown(by: String)
        /// It cannot, and a scenario shows what happens instead.
        case refused(String, shownBy: String)
        /// It cannot, for a reason that is the same wherever one looks.
        case impossible(String)
    }

    /// One way, or one use.
    public struct Row: Sendable {
        /// What was asked for.
        public let title: String
        /// What iopmem has for it.
        public let door: String
        /// By kernel.
        let cell: @Sendable (Kernel) -> Cell

        init(_ title: String, _ door: String, _ cell: @escaping @Sendable (Kernel) -> Cell) {
            self.title = title
            self.door = door
            self.cell = cell
        }

        init(_ title: String, _ door: String, shownBy scenario: String) {
            self.init(title, door) { _ in .shown(by: scenario) }
        }
    }

    /// The systems first, then the uses, in the words of those who asked.
    public static let rows: [Row] = [
        Row(
            "DMA mapping of a peer's resource (`map_peer_resource`)", "dma-buf",
            shownBy: "DMABufTests.importer"),
        Row("ZONE_DEVICE for I/O memory", "`fsdax`, `devdax`", shownBy: "DevdaxTests.clients"),
        Row("RDMA by dma-buf", "dma-buf") { _ in
            .impossible(
                "The software RDMA of these kernels (rdma_rxe, siw) registers no dma-bufs, and"
                    + " adapters that do cannot be emulated. RDMA by pointer is a row of its own")
        },
        Row("iopmem: a block device with DAX", "`fsdax`", shownBy: "MainJobTests.direct"),
        Row("HMM", "none") { _ in
            .impossible(
                "HMM's pages are for memory that the CPU cannot address (DEVICE_PRIVATE) or that a"
                    + " cache-coherent bus connects (DEVICE_COHERENT); a PCIe BAR is neither")
        },
        Row("pointer → dma-buf", "`IOPMEM_IOC_EXPORT_POINTER`", shownBy: "DMABufTests.ranges"),
        Row("p2pdma", "`p2pdma`") { kernel in
            // Debian's configurations; the debug kernel is configured by the lab.
            ["6.1", "6.12"].contains(kernel.series)
                ? .refused(
                    "CONFIG_PCI_P2PDMA is not set in Debian's configuration; `create` says so, and what"
                        + " to use instead",
                    shownBy: "P2PDMATests.missing")
                : .shown(by: "P2PDMATests.verdicts")
        },
        Row("get_user_pages: O_DIRECT", "`fsdax`, `devdax`", shownBy: "DevdaxTests.clients"),
        Row("get_user_pages: RDMA memory regions", "`devdax`", shownBy: "DevdaxTests.clients"),
        Row("get_user_pages: MSG_ZEROCOPY", "`devdax`", shownBy: "NetworkTests.sockets"),
        Row(
            "VFIO: hypervisors, drivers in programs", "`devdax`", shownBy: "VFIOTests.passedThrough"
        ),
        Row(
            "QEMU: the RAM of a guest", "`fsdax`, `devdax`",
            shownBy: "HypervisorTests.guestMemory"),
        Row("dma-buf as DRM drivers do it", "dma-buf", shownBy: "DMABufTests.removal"),
        Row("storage → accelerator", "`fsdax`, `devdax`", shownBy: "MainJobTests.direct"),
        Row("accelerator → accelerator", "`devdax`", shownBy: "VFIOTests.passedThrough"),
        Row("capture → accelerator", "`devdax`, dma-buf", shownBy: "CameraTests.capture"),
        Row("capture → storage", "`devdax`, dma-buf", shownBy: "CameraTests.capture"),
        Row(
            "other machines (NVMe over TCP)", "`share`", shownBy: "ShareScenarioTests.export"),
    ]

    /// The kernels that are columns: those that users have.
    public static var kernels: [Kernel] { Kernel.all.filter { !$0.looksForBugs } }

    /// What a cell needs, and the results do not have; empty if it is all there.
    public static func missing(in results: ScenarioResults, on kernels: [Kernel]) -> [String] {
        rows.flatMap { row in
            kernels.compactMap { kernel in
                guard let name = scenario(row.cell(kernel)) else { return nil }
                return results.passed[name]?.contains(kernel.series) == true
                    ? nil : "\(row.title) on \(kernel): \(name) did not pass"
            }
        }
    }

    /// The names of all scenarios that cells name.
    public static var scenarios: Set<String> {
        Set(rows.flatMap { row in kernels.compactMap { scenario(row.cell($0)) } })
    }

    private static func scenario(_ cell: Cell) -> String? {
        switch cell {
        case .shown(let name), .refused(_, let name): name
        case .impossible: nil
        }
    }

    private static let start = "<!-- made by make table -->\n"
    private static let end = "<!-- end of what make table makes -->"

    /// A text with the table in it, made anew from these results; nil if it has no place for one.
    public static func replacing(in text: String, by results: ScenarioResults) -> String? {
        guard let first = text.firstRange(of: start), let last = text.firstRange(of: end),
            first.upperBound <= last.lowerBound
        else { return nil }
        return text[..<first.upperBound] + table(results) + text[last.lowerBound...]
    }

    private static func table(_ results: ScenarioResults) -> String {
        let columns = kernels.map { "| \($0) " }.joined()
        var lines = [
            "| what was asked for | by \(columns)|",
            "|---|---\(kernels.map { _ in "|---" }.joined())|",
        ]
        // Reasons are long and the same for several kernels: they stand below.
        var reasons: [String] = []
        for row in rows {
            let cells = kernels.map { kernel in
                text(of: row.cell(kernel), on: kernel, results, &reasons)
            }
            lines.append("| \(row.title) | \(row.door) | \(cells.joined(separator: " | ")) |")
        }
        let notes = reasons.enumerated().map { "\($0 + 1). \($1)" }
        return (lines + [""] + notes).joined(separator: "\n") + "\n"
    }

    private static func text(
        of cell: Cell, on kernel: Kernel, _ results: ScenarioResults, _ reasons: inout [String]
    ) -> String {
        func link(_ name: String) -> String {
            guard results.passed[name]?.contains(kernel.series) == true else { return "not shown" }
            return "[\(name)](Tests/ScenarioTests/\(name.split(separator: ".")[0]).swift)"
        }
        func note(_ reason: String) -> String {
            if !reasons.contains(reason) { reasons.append(reason) }
            return "no (\((reasons.firstIndex(of: reason) ?? 0) + 1))"
        }
        switch cell {
        case .shown(let name): return link(name)
        case .refused(let reason, let name): return "\(note(reason)): \(link(name))"
        case .impossible(let reason): return note(reason)
        }
    }
}
