// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage
import Testing

@testable import IopmemVerify

@Suite("A run")
struct VerifyRunTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func run(
        _ workload: Workload, environment: VerifyRun.Environment = .init()
    ) throws -> WorkloadResult {
        let options: OpenFile.Options = workload.writes ? [.write, .create] : []
        let file = try OpenFile(scratch.path("file"), options)
        if workload.writes {
            try file.allocate(offset: workload.offset, length: workload.size)
        }
        return try VerifyRun(workload, on: file, environment: environment).run()
    }

    @Test(
        "every pattern that writes verifies all that it wrote, by every engine",
        arguments: Workload.Pattern.allCases.filter(\.writes), Workload.EngineName.allCases)
    func writes(pattern: Workload.Pattern, engine: Workload.EngineName) throws {
        let result = try run(
            Workload(
                pattern: pattern, blockSize: 1024, offset: 512, size: 200 * 1024, engine: engine,
                loops: 2))
        #expect(result.write.bytes == 2 * 200 * 1024)
        #expect(result.write.transfers == 400)
        #expect(result.blocksVerified == (pattern.isMixed ? 800 : 400))
        #expect(result.bytesVerified == result.blocksVerified * 1024)
        #expect(result.blocksBad == 0)
        #expect(result.interruption == nil)
        let size = try OpenFile(scratch.path("file")).status().size
        #expect(size == 512 + 200 * 1024)
    }

    @Test(
        "with several blocks under way, each is written, verified, and found where it is wrong",
        arguments: [2, 32, 300], [true, false])
    func depth(depth: Int, isRandom: Bool) throws {
        var workload = Workload(
            pattern: isRandom ? .randwrite : .write, blockSize: 2048, offset: 4096,
            size: 513 * 2048, engine: .ioUring, depth: depth, loops: 2)
        let written = try run(workload)
        #expect(written.write.transfers == 1026)
        #expect(written.blocksVerified == 1026)
        #expect(written.mismatches == [])
        #expect(written.interruption == nil)

        let places: [UInt64] = [4096, 4096 + 512 * 1000, 4096 + 513 * 2048 - 1]
        for place in places { try scratch.damage("file", at: place) { $0[0] ^= 1 } }
        workload.pattern = isRandom ? .randread : .read
        workload.loops = 1
        let read = try run(workload)
        #expect(read.blocksBad == 3)
        #expect(read.blocksVerified == 510)
        #expect(Set(read.mismatches.map(\.offset)) == Set(places))
        // A serial engine sees the same.
        workload.engine = .psync
        workload.depth = 1
        #expect(try run(workload).blocksBad == 3)
    }

    @Test(
        "a file that ends while blocks are under way ends the run, and nothing else",
        arguments: [1, 64])
    func endsUnderway(depth: Int) throws {
        _ = try run(Workload(pattern: .write, size: 512 * 1024))
        try OpenFile(scratch.path("file"), .write).resize(to: 100 * 4096 + 100)
        let result = try run(
            Workload(pattern: .read, size: 512 * 1024, engine: .ioUring, depth: depth))
        guard case .endOfTarget(let offset) = result.interruption else {
            Issue.record("ended by \(String(describing: result.interruption))")
            return
        }
        #expect(offset >= 100 * 4096)
        #expect(result.blocksVerified >= 100 - UInt64(depth))
        #expect(result.blocksVerified <= 100)
        #expect(result.blocksBad == 0)
    }

    @Test("a signal ends a run that has blocks under way, and the report counts what was done")
    func signalUnderway() throws {
        var looks = 0
        let result = try run(
            Workload(size: 4 << 20, engine: .ioUring, depth: 16),
            environment: VerifyRun.Environment(pendingSignal: {
                looks += 1
                return looks == 3 ? 2 : nil
            }))
        #expect(result.interruption == .signal(2))
        #expect(result.write.transfers > 0)
        #expect(result.write.transfers < 1024)
    }

    @Test(
        "every release's blocks are read without being told whose they are",
        arguments: FioRelease.allCases, VerifyMethod.allCases.filter { $0 != .pattern })
    func releases(release: FioRelease, method: VerifyMethod) throws {
        for (interval, headerOffset) in [(nil, 0), (1024, 0), (1024, 600)] as [(Int?, Int)] {
            let format = BlockFormat(
                method: method, release: release, interval: interval, headerOffset: headerOffset)
            let size: UInt64 = 64 * 1024
            let written = try run(
                Workload(pattern: .randwrite, blockSize: 4096, size: size, format: format))
            let count = size / UInt64(interval ?? 4096)
            #expect(written.blocksVerified == count)
            let reading = Workload(
                pattern: .read, blockSize: 4096, size: size,
                format: BlockFormat(interval: interval, headerOffset: headerOffset))
            #expect(try run(reading).blocksVerified == count)
            // The first byte of data, one in the middle and the last one.
            for offset in [300, 33_333, size - 1] {
                try scratch.damage("file", at: offset) { $0[0] ^= 0x10 }
                let result = try run(reading)
                #expect(result.blocksBad == 1)
                #expect(result.mismatches.map(\.offset) == [offset])
                #expect(result.mismatches.map(\.kind) == [.bitflip])
                try scratch.damage("file", at: offset) { $0[0] ^= 0x10 }
            }
        }
    }

    @Test(
        "options that contradict each other are refused, with what would do",
        arguments: [
            (BlockFormat(method: .pattern), "--verify-pattern"),
            (BlockFormat(interval: 100), "multiple of 512"),
            (BlockFormat(interval: 8192), "does not divide"),
            (BlockFormat(interval: 1536), "does not divide"),
            (BlockFormat(headerOffset: 8), "between 44 and 4052"),
            (BlockFormat(method: .sha512, interval: 512, headerOffset: 400), "between 168 and 344"),
            (BlockFormat(headerOffset: -1), "less than 0"),
        ] as [(BlockFormat, String)])
    func contradictions(format: BlockFormat, words: String) {
        #expect {
            try Workload(size: 65_536, format: format).validate()
        } throws: { error in
            let error = error as? IopmemError
            let text = "\(error?.message ?? "") \(error?.remedy ?? "")"
            return error?.code == .usage && text.contains(words)
        }
    }

    @Test(
        "a pattern that cannot be read is refused, and says from where on",
        arguments: ["", "%x", "0x", "\"open", "abc", "12345678901", "--1", "0xffzz"])
    func patterns(text: String) {
        #expect {
            _ = try FillPattern(text)
        } throws: {
            ($0 as? IopmemError)?.code == .usage
        }
    }

    @Test(
        "what one engine wrote the other one verifies, in either order",
        arguments: Workload.EngineName.allCases)
    func crossed(engine: Workload.EngineName) throws {
        _ = try run(Workload(pattern: .randwrite, size: 256 * 1024, engine: engine))
        for reader in Workload.EngineName.allCases {
            for pattern in [Workload.Pattern.read, .randread] {
                let result = try run(
                    Workload(pattern: pattern, size: 256 * 1024, engine: reader, verifyOnly: true))
                #expect(result.blocksVerified == 64)
                #expect(result.write.bytes == 0)
            }
        }
    }

    @Test(
        "a wrong byte is found at the first, a middle and the last byte",
        arguments: [0, 70_000, 131_071] as [UInt64], Workload.EngineName.allCases)
    func corruption(offset: UInt64, engine: Workload.EngineName) throws {
        _ = try run(Workload(size: 131_072))
        try scratch.damage("file", at: offset) { $0[0] ^= 0x10 }
        let result = try run(Workload(pattern: .read, size: 131_072, engine: engine))
        #expect(result.blocksBad == 1)
        #expect(result.blocksVerified == 31)
        #expect(result.mismatches.map(\.offset) == [offset])
        #expect(result.mismatches.map(\.kind) == [.bitflip])
    }

    @Test("the mismatches that are kept are bounded, the count is not")
    func bounded() throws {
        let blocks = VerifyRun.maximumMismatches + 24
        try scratch.write("file", [UInt8](repeating: 0, count: blocks * 512))
        let result = try run(
            Workload(pattern: .read, blockSize: 512, size: UInt64(blocks) * 512))
        #expect(result.blocksBad == UInt64(blocks))
        #expect(result.mismatches.count == VerifyRun.maximumMismatches)
        #expect(result.blocksVerified == 0)
    }

    @Test("data that changes between writing and verifying is stale or wrong, not right")
    func olderGeneration() throws {
        let size: UInt64 = 65_536
        _ = try run(Workload(size: size, randseed: 1))
        let file = try OpenFile(scratch.path("file"))
        var old = [UInt8](repeating: 0, count: 4096)
        try old.withUnsafeMutableBytes { _ = try file.read(into: $0, at: 8192) }
        let path = scratch.path("file")
        // The device that lost one write: the old block is back when all is written.
        let result = try run(
            Workload(size: size, randseed: 2),
            environment: .init(progress: { progress in
                guard progress.phase == .write, progress.done == size else { return }
                let file = try? OpenFile(path, .write)
                _ = old.withUnsafeBytes { bytes in try? file?.write(bytes, at: 8192) }
            }))
        #expect(result.mismatches.map(\.kind) == [.stale])
        #expect(result.mismatches.map(\.offset) == [8192])
    }

    @Test(
        "a target that shrinks meanwhile ends the run with what was found, not the process",
        arguments: Workload.EngineName.allCases)
    func shrinks(engine: Workload.EngineName) throws {
        let path = scratch.path("file")
        let size: UInt64 = 512 * 4096
        let result = try run(
            Workload(size: size, engine: engine),
            environment: .init(progress: { progress in
                guard progress.phase == .verify, progress.done == size * 3 / 2 else { return }
                try? OpenFile(path, .write).resize(to: size / 2)
            }))
        #expect(result.blocksVerified == 256)
        #expect(result.blocksBad == 0)
        switch engine {
        case .psync, .ioUring: #expect(result.interruption == .endOfTarget(at: 256 * 4096))
        case .mmap:
            #expect(
                result.interruption == .errno(.read, at: 256 * 4096, Errno.ioError.rawValue))
        }
    }

    @Test("a signal ends the run, with what was done until then")
    func signal() throws {
        let result = try run(
            Workload(size: 512 * 4096), environment: .init(pendingSignal: { 2 }))
        #expect(result.interruption == .signal(2))
        #expect(result.write.transfers == 64)
        #expect(result.interruption?.error(on: "t").exitStatus == 130)
    }

    @Test("blocks of another length are a wrong option, not wrong data")
    func otherBlockSize() throws {
        _ = try run(Workload(blockSize: 8192, size: 65_536))
        #expect {
            try run(Workload(pattern: .read, blockSize: 4096, size: 65_536))
        } throws: { error in
            (error as? IopmemError)?.code == .usage
                && (error as? IopmemError)?.remedy == "use --bs 8K"
        }
    }
}

@Suite("Memory that may vanish")
struct FileMappingTests {
    @Test("copies to and from pages behind the end of the file are EIO, again and again")
    func behindTheEnd() throws {
        let scratch = try Scratch()
        try scratch.write("file", [UInt8](repeating: 7, count: 4096))
        let file = try OpenFile(scratch.path("file"), .write)
        let mapping = try FileMapping(file, offset: 0, length: 8192, writable: true)
        var bytes = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<3 {
            try bytes.withUnsafeMutableBytes { try mapping.copyOut(at: 0, into: $0) }
            let isWhole = bytes.allSatisfy { $0 == 7 }
            #expect(isWhole)
            #expect(throws: Errno.ioError) {
                try bytes.withUnsafeMutableBytes { try mapping.copyOut(at: 4096, into: $0) }
            }
            #expect(throws: Errno.ioError) {
                try bytes.withUnsafeBytes { try mapping.copyIn($0, at: 4096) }
            }
        }
    }
}
