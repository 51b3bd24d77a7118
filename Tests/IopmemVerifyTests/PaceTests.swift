// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Testing

@testable import IopmemVerify

/// How long, how fast and in which pieces a run goes.
@Suite("A run's pace and pieces")
struct PaceTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func run(_ workload: Workload) throws -> WorkloadResult {
        try workload.validate()
        let options: OpenFile.Options = workload.writes ? [.write, .create] : []
        let file = try OpenFile(scratch.path("file"), options)
        if workload.writes { try file.allocate(offset: workload.offset, length: workload.size) }
        return try VerifyRun(workload, on: file).run()
    }

    private static let splits: [BlockSizes] = [
        .range(512, 16_384), .range(4096, 4096 * 3),
        .split([.init(size: 4096, percent: 60), .init(size: 65_536, percent: 40)]),
        .split([.init(size: 1024, percent: 1), .init(size: 3072, percent: 99)]),
    ]

    @Test(
        "blocks of several lengths cover each byte once, and are verified",
        arguments: splits, [Workload.Pattern.write, .randwrite, .randrw])
    func lengths(sizes: BlockSizes, pattern: Workload.Pattern) throws {
        // No multiple of the longest.
        let size = UInt64(sizes.smallest) * 1009
        var workload = Workload(
            pattern: pattern, sizes: sizes, offset: 512, size: size, engine: .ioUring, depth: 8,
            loops: 2)
        var covered: [UInt64: Int] = [:]
        var lengths: Set<UInt32> = []
        var sequence = BlockSequence(workload)
        while let header = sequence.next() {
            #expect(header.offset >= 512)
            #expect(header.offset + UInt64(header.length) <= 512 + size)
            lengths.insert(header.length)
            for unit in stride(from: 0, to: UInt64(header.length), by: sizes.smallest) {
                covered[header.offset + unit, default: 0] += 1
            }
        }
        #expect(covered.count == 1009)
        #expect(covered.values.allSatisfy { $0 == 1 })
        #expect(lengths.count > 1)

        let written = try run(workload)
        #expect(written.bytesWritten == 2 * size)
        #expect(written.bytesVerified == (pattern.isMixed ? 4 : 2) * size)
        #expect(written.blocksBad == 0)
        // Whoever reads it need not know the lengths, only the smallest one.
        workload = Workload(
            pattern: .randread, blockSize: sizes.smallest, offset: 512, size: size)
        #expect(try run(workload).blocksVerified == 1009)
        try scratch.damage("file", at: 512 + size / 2) { $0[0] ^= 4 }
        let read = try run(workload)
        #expect(read.blocksBad == 1)
        #expect(read.mismatches.map(\.offset) == [512 + size / 2])
    }

    @Test(
        "of blocks that are written several times the last one is what must be there",
        arguments: [1, 32], [UInt64?.none, 10])
    func repeats(depth: Int, backlog: UInt64?) throws {
        var workload = Workload(
            pattern: .randwrite, sizes: .range(1024, 4096), size: 300 * 1024, engine: .ioUring,
            depth: depth)
        workload.repeats = true
        workload.backlog = backlog
        let written = try run(workload)
        #expect(written.blocksBad == 0)
        #expect(written.bytesWritten >= 300 * 1024)
        // Some of it was never written: so many draws leave a part of e^-1 out.
        var last: [UInt64: UInt64] = [:]
        var sequence = BlockSequence(workload)
        while let header = sequence.next() {
            for unit in stride(from: 0, to: UInt64(header.length), by: 1024) {
                last[header.offset + unit] = header.seed
            }
        }
        #expect(last.count < 290)
        #expect(last.count > 120)
        if backlog == nil { #expect(written.blocksVerified == UInt64(last.count)) }
        let file = try OpenFile(scratch.path("file"))
        for (offset, seed) in last {
            var block = [UInt8](repeating: 0, count: 1024)
            _ = try block.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
            let header = try block.withUnsafeBytes { try FioHeader($0) }
            #expect(header.seed == seed)
        }
    }

    @Test("what was last written is known in parts, for ranges of any size")
    func latest() {
        var workload = Workload(pattern: .randwrite, blockSize: 4096, size: 1 << 20)
        workload.repeats = true
        var whole = LatestWrites(workload, range: 0..<256)
        var parts = [0..<100, 100..<101, 101..<256].map {
            LatestWrites(workload, range: UInt64($0.lowerBound)..<UInt64($0.upperBound))
        }
        var sequence = BlockSequence(workload)
        while let header = sequence.next() {
            whole.add(header)
            for index in parts.indices { parts[index].add(header) }
        }
        let expected = Array(whole.headers())
        #expect(expected.count > 100)
        #expect(parts.flatMap { Array($0.headers()) } == expected)
    }

    @Test(
        "a backlog is verified while the run goes on, and all of it in the end",
        arguments: [
            UInt64?.none, 3,
        ])
    func backlog(batch: UInt64?) throws {
        var workload = Workload(pattern: .randwrite, size: 100 * 4096)
        workload.backlog = 7
        workload.backlogBatch = batch
        var phases: [VerifyRun.Progress.Phase] = []
        let file = try OpenFile(scratch.path("file"), [.write, .create])
        try file.allocate(offset: 0, length: workload.size)
        let result = try VerifyRun(
            workload, on: file,
            environment: .init(progress: { progress in
                if phases.last != progress.phase { phases.append(progress.phase) }
            })
        ).run()
        #expect(result.blocksVerified == 200)
        #expect(result.blocksBad == 0)
        #expect(phases.count >= 2 * (100 / 7))
    }

    @Test("time ends the writing, and what was written is verified all the same")
    func runtime() throws {
        var workload = Workload(size: 64 << 20)
        workload.pace.rateIOPS.write = 200
        workload.pace.runtime = .milliseconds(300)
        let result = try run(workload)
        #expect(result.write.transfers > 10)
        #expect(result.write.transfers < 120)
        #expect(result.blocksVerified == result.write.transfers)
        #expect(result.interruption == nil)
    }

    @Test("a run that is based on time goes on with other data until it is over")
    func timeBased() throws {
        var workload = Workload(size: 16 * 4096)
        workload.pace.runtime = .milliseconds(400)
        workload.pace.isTimeBased = true
        let result = try run(workload)
        #expect(result.write.transfers > 160)
        #expect(result.blocksVerified == result.write.transfers)
        #expect(result.elapsed > 400_000_000)
        var reading = Workload(pattern: .randread, size: 16 * 4096)
        reading.pace = workload.pace
        #expect(try run(reading).blocksVerified > 160)
    }

    @Test("a rate keeps each direction to its own limit")
    func rate() throws {
        var workload = Workload(size: 1 << 20)
        workload.pace.rate.write = 4 << 20
        workload.pace.rate.read = 16 << 20
        let result = try run(workload)
        // A quarter of a second, and a sixteenth; the first block waits for nothing.
        #expect(result.write.seconds > 0.24)
        #expect(result.read.seconds > 0.06)
        #expect(result.blocksVerified == 256)
    }

    @Test("what comes before the ramp is over is verified and not measured")
    func ramp() throws {
        var workload = Workload(size: 1 << 20)
        workload.pace.rateIOPS.write = 512
        workload.pace.ramp = .milliseconds(250)
        let result = try run(workload)
        #expect(result.bytesWritten == 1 << 20)
        #expect(result.blocksVerified == 256)
        #expect(result.write.transfers < 150)
        #expect(result.write.latency.count == result.write.transfers)
    }

    @Test("the first wrong block ends a run that asks for it")
    func fatal() throws {
        _ = try run(Workload(size: 1 << 20))
        for place in [50_000, 500_000] {
            try scratch.damage("file", at: UInt64(place)) { $0[0] ^= 1 }
        }
        var workload = Workload(pattern: .read, size: 1 << 20)
        workload.stopsAtFirst = true
        let result = try run(workload)
        #expect(result.blocksBad == 1)
        #expect(result.interruption == .wrongBlock(at: 49_152))
        #expect(result.interruption?.error(on: "t").exitStatus == 7)
    }

    @Test(
        "pieces that make no sense are refused",
        arguments: [
            BlockSizes.range(4096, 6144), .range(8192, 4096), .range(100, 200), .split([]),
            .split([.init(size: 4096, percent: 50)]),
            .split([.init(size: 4096, percent: 50), .init(size: 6144, percent: 50)]),
        ])
    func refusals(sizes: BlockSizes) {
        #expect(throws: IopmemError.self) { try sizes.validate() }
    }

    @Test(
        "a picture of regions knows the place of each wrong block",
        arguments: [
            UInt64(4096), 1 << 20, 5 << 30, 1 << 50,
        ])
    func map(size: UInt64) {
        var map = RegionMap(offset: 512, size: size)
        #expect(map.cells.count <= 1024)
        #expect(UInt64(map.cells.count) * map.width >= size)
        map.add(512, 4096, isRight: true)
        map.add(512 + size - 512, 512, isRight: false)
        map.add(0, 512, isRight: false)
        map.add(512 + size, 512, isRight: false)
        #expect(map.cells.last?.wrong == 1)
        #expect(map.cells.first?.right == 1)
        #expect(map.cells.reduce(0) { $0 + $1.wrong } == 1)
        var other = RegionMap(offset: 512 + size, size: size)
        other.add(512 + size, 512, isRight: false)
        map.merge(other)
        #expect(map.size == 2 * size)
        #expect(map.cells.contains { $0.wrong > 0 })
    }

    @Test("the course of a run keeps its sum and its length bounded")
    func course() {
        var course = Course()
        for second in 0..<100_000 { course.record(10, at: UInt64(second) * 1_000_000_000) }
        #expect(course.bytes.count <= Course.limit)
        #expect(course.bytes.reduce(0, +) == 1_000_000)
        var other = Course()
        other.record(5, at: 3)
        other.merge(course)
        #expect(other.bytes.reduce(0, +) == 1_000_005)
        #expect(other.width == course.width)
    }
}
