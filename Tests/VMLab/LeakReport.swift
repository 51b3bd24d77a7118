// SPDX-License-Identifier: GPL-2.0

/// What kmemleak lists: allocations to which nothing points any more.
struct LeakReport {
    /// One text for each allocation.
    let records: [String]

    /// Reads /sys/kernel/debug/kmemleak.
    init(_ listing: String) {
        var records: [String] = []
        for line in listing.split(whereSeparator: \.isNewline) {
            if line.hasPrefix("unreferenced object") {
                records.append(String(line))
            } else if !records.isEmpty {
                records[records.count - 1] += "\n\(line)"
            }
        }
        self.records = records
    }

    /// Those that the driver made: it is in their back traces, by name or, after it was unloaded, as
    /// an address without a name. The debug kernel unloads no other module.
    var ours: [String] {
        records.filter { record in
            record.split(separator: "\n").contains { line in
                line.contains("[iopmem]") || Self.isNamelessFrame(line)
            }
        }
    }

    /// `    [<000000004fe3c2e5>] 0xffffffffa0012345` or `    0xffffffffa0012345`
    private static func isNamelessFrame(_ line: Substring) -> Bool {
        line.split(separator: " ").last?.hasPrefix("0xffffffff") ?? false
            && !line.hasPrefix("unreferenced object")
    }
}

extension Machine {
    /// Fails if the driver has lost track of memory. Unloads it, if nothing holds it, so that what it
    /// ought to have freed by now has no referrer either.
    func findLeaks() async throws {
        if topology.kernelArguments.contains("kmemleak=off") { return }
        let listing = try await guest.run(
            """
            list=/sys/kernel/debug/kmemleak
            [ -e $list ] || mount -t debugfs debugfs /sys/kernel/debug
            modprobe -r iopmem 2>/dev/null || true
            # The first scan takes the sums of new allocations, and the second believes those that
            # have not changed. It passes over what is younger than five seconds.
            echo scan >$list
            sleep 5
            echo scan >$list
            cat $list
            """, within: 120
        ).output
        let leaks = LeakReport(listing).ours
        if !leaks.isEmpty {
            throw LabError("the driver leaks memory", evidence: leaks.joined(separator: "\n"))
        }
    }
}
