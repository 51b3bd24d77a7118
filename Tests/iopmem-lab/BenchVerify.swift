// SPDX-License-Identifier: GPL-2.0

import IopmemVerify
import VMLab

/// `iopmemctl verify` by fio: the same job, written and verified with crc32c, one after the other.
struct BenchVerify {
    let machine: Machine

    /// One job, on one target.
    struct Line: Hashable, Sendable {
        /// KiB.
        let block: Int
        let engine: String
        let depth: Int

        /// Whether it is a file on a file system with DAX, or the block node.
        var isFile: Bool { engine == "mmap" }

        /// As in `block node, io_uring 32, 4 KiB`.
        var words: String {
            isFile
                ? "fsdax file, mmap, \(block) KiB"
                : "block node, \(engine) \(depth), \(block) KiB"
        }

        /// The ratio that verify's speed must have to fio's, as a median.
        var wanted: Double { isFile ? 2 : 1.2 }
    }

    struct Result: Sendable {
        let line: Line
        /// MiB per second, each byte written and read back, by round.
        var ours: [Double] = []
        var fio: [Double] = []

        var ratios: BenchSpread { BenchSpread(zip(ours, fio).map { $0 / $1 }) }
    }

    /// What the host makes of blocks: payload, header and crc32c, and as many bytes by memcpy.
    struct Generation: Sendable {
        var blocks: [Double] = []
        var copies: [Double] = []

        var ratios: BenchSpread { BenchSpread(zip(blocks, copies).map { $0 / $1 }) }
        static let wanted = 0.5
    }

    /// MiB of the range.
    static let size = 64
    private static let folder = "/run/bench-verify"
    private static let lines = [
        Line(block: 4, engine: "mmap", depth: 1), Line(block: 64, engine: "mmap", depth: 1),
        Line(block: 4, engine: "io_uring", depth: 32),
        Line(block: 64, engine: "io_uring", depth: 32),
    ]

    func measure(rounds: Int) async throws -> [Result] {
        try await machine.step("verify by fio") {
            var results = Self.lines.map { Result(line: $0) }
            for (isFile, setUp, tearDown) in [
                (true, mount, "umount \(Self.folder)"), (false, "", "true"),
            ] {
                try await machine.guest.run("mkdir -p \(Self.folder)\n" + setUp, within: 300)
                for round in 0..<rounds {
                    for index in results.indices where results[index].line.isFile == isFile {
                        let line = results[index].line
                        // The order moves on, so that neither always comes first.
                        if round % 2 == 0 { results[index].ours.append(try await ours(line)) }
                        results[index].fio.append(try await fio(line))
                        if round % 2 == 1 { results[index].ours.append(try await ours(line)) }
                    }
                }
                try await machine.guest.run(tearDown)
            }
            return results
        }
    }

    private var mount: String {
        """
        mkfs.ext4 -q -F -b 4096 -E stride=512,stripe_width=512 \(BenchDevice.iopmem.node)
        mount -o dax=always \(BenchDevice.iopmem.node) \(Self.folder)
        fallocate -l \(Self.size)M \(Self.folder)/file
        dd if=/dev/zero of=\(Self.folder)/file bs=2M count=\(Self.size / 2) conv=notrunc,fsync status=none
        """
    }

    private func target(_ line: Line) -> String {
        line.isFile ? "\(Self.folder)/file" : BenchDevice.iopmem.node
    }

    private func ours(_ line: Line) async throws -> Double {
        let report: Ours = try await machine.guest.run(
            """
            iopmemctl verify \(target(line)) --yes --force --size \(Self.size)M --bs \(line.block)k \
            --ioengine \(line.engine) --iodepth \(line.depth) -q -o json
            """, within: 300
        ).json()
        return try speed(report.verify.jobs)
    }

    private func fio(_ line: Line) async throws -> Double {
        let options =
            line.isFile ? "--fallocate=none" : "--direct=1 --fixedbufs=1 --registerfiles=1"
        let report: Fio = try await machine.guest.run(
            """
            cd /run
            fio --name=v --filename=\(target(line)) --size=\(Self.size)M --bs=\(line.block)k --rw=write \
            --ioengine=\(line.engine) --iodepth=\(line.depth) --verify=crc32c --verify_fatal=1 \
            --verify_state_save=0 --thread \(options) --output-format=json --output=fio.json >/dev/null
            sed -n '/^{/,$p' fio.json
            """, within: 300
        ).json()
        return try speed(report.jobs)
    }

    private func speed(_ jobs: [Job]) throws -> Double {
        guard let job = jobs.first, job.write.runtime > 0, job.read.runtime > 0,
            job.read.io_bytes == job.write.io_bytes, job.read.io_bytes == Self.size << 20
        else { throw LabError("a run of verify or fio did not move what was asked for") }
        return Double(Self.size) * 1000 / Double(job.write.runtime + job.read.runtime)
    }

    /// On the host, whose processor is no emulated one.
    static func generation(rounds: Int) -> Generation {
        var generation = Generation()
        for _ in 0..<rounds {
            let (blocks, copies) = BlockSpeed.measure()
            generation.blocks.append(blocks)
            generation.copies.append(copies)
        }
        return generation
    }

    private struct Ours: Decodable {
        let verify: Fio
    }

    private struct Fio: Decodable {
        let jobs: [Job]
    }

    private struct Job: Decodable {
        let read: Side
        let write: Side

        struct Side: Decodable {
            let io_bytes: Int
            let runtime: Int
        }
    }
}
