// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import Testing

/// What monitoring systems get.
@Suite("Metrics")
struct MetricsTests {
    private func exposition(_ host: SimulatedHost) throws -> [Substring] {
        try MachineMetrics(root: host.root).exposition.split(separator: "\n")
    }

    @Test("without a driver there is one number, and it says so")
    func nothing() throws {
        let lines = try exposition(SimulatedHost(.twoCards)).filter { !$0.hasPrefix("#") }
        #expect(lines == ["iopmem_driver_loaded 0"])
    }

    @Test("every value has a type, a help, and a name of its own")
    func wellFormed() throws {
        let lines = try exposition(SimulatedHost(.mounted))
        var described: Set<Substring> = []
        var seen: Set<Substring> = []
        for line in lines {
            if line.hasPrefix("#") {
                let name = try #require(line.split(separator: " ").dropFirst(2).first)
                described.insert(name)
                #expect(name.hasPrefix("iopmem_"))
                #expect(!line.hasSuffix("counter") || name.hasSuffix("_total"))
            } else {
                #expect(described.contains(line.prefix { $0 != "{" && $0 != " " }))
                let series = line[..<(line.lastIndex(of: " ") ?? line.endIndex)]
                #expect(seen.insert(series).inserted, "\(series) comes twice")
            }
        }
        #expect(seen.count >= 20)
    }

    @Test("names that need it are escaped")
    func escaped() throws {
        let host = try SimulatedHost(.mounted)
        let path = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("a\"b\\c", to: "\(path)/name")
        #expect(try exposition(host).contains { $0.contains(#"name="a\"b\\c""#) })
    }

    @Test("times are seconds, sizes are bytes, whatever the kernel counts in")
    func units() throws {
        let host = try SimulatedHost(.mounted)
        try host.tree.write("5 0 16 1007 9 0 8 20 0 0 0\n", to: "/sys/block/iopmem0n1/stat")
        let values = try exposition(host).filter { $0.contains(#"namespace="iopmem0n1""#) }
        func value(_ name: String) -> Substring? {
            values.first { $0.hasPrefix("iopmem_namespace_\(name){") }?.split(separator: " ").last
        }
        #expect(value("reads_completed_total") == "5")
        #expect(value("read_bytes_total") == "8192")
        #expect(value("read_time_seconds_total") == "1.007")
        #expect(value("written_bytes_total") == "4096")
        #expect(value("write_time_seconds_total") == "0.020")
    }

    @Test("a file is replaced whole, readable for all, and nothing else is left")
    func file() throws {
        let host = try SimulatedHost(.twoCards)
        try host.tree.write("old", to: "/metrics/iopmem.prom")
        try TextFile.replace("/metrics/iopmem.prom", with: "new", root: host.root)
        #expect(try host.root.text("/metrics/iopmem.prom") == "new")
        #expect(try host.root.entries("/metrics") == ["iopmem.prom"])
    }

    @Test("what is not a file is not replaced")
    func noDevice() throws {
        let host = try SimulatedHost(.twoCards)
        try host.tree.link("/metrics/link", to: "/dev/null")
        try host.tree.makeDirectory("/metrics/folder")
        for name in ["link", "folder"] {
            #expect(throws: IopmemError.self) {
                try TextFile.replace("/metrics/\(name)", with: "new", root: host.root)
            }
        }
        #expect(try host.root.entries("/metrics") == ["folder", "link"])
        #expect(try host.root.linkTarget("/metrics/link") == "/dev/null")
    }

    @Test("a file that cannot be replaced is an error that names it")
    func noFile() throws {
        let host = try SimulatedHost(.twoCards)
        let error = #expect(throws: IopmemError.self) {
            try TextFile.replace("/nowhere/iopmem.prom", with: "new", root: host.root)
        }
        #expect(error?.message.contains("/nowhere/iopmem.prom") == true)
    }
}
