// SPDX-License-Identifier: GPL-2.0
import Iopmem
import Testing

@testable import IopmemVerify

@Suite("Order of blocks")
struct BlockOrderTests {
    @Test(
        "a random order visits every block exactly once",
        arguments: [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1000, 4097] as [UInt64])
    func permutation(count: UInt64) {
        let order = BlockOrder(count: count, shuffledBy: 0x89)
        #expect(Set((0..<count).map(order.block)) == Set(0..<count))
    }

    @Test("it is neither the natural order nor the one of another key")
    func shuffles() {
        func order(_ key: UInt64?) -> [UInt64] {
            let order = BlockOrder(count: 1000, shuffledBy: key)
            return (0..<1000).map(order.block)
        }
        #expect(order(nil) == Array(0..<1000))
        #expect(order(1) != order(nil))
        #expect(order(1) != order(2))
        #expect(order(1) == order(1))
    }

    @Test("a sequence says the same twice, and other data in the next loop")
    func repeats() {
        let workload = Workload(pattern: .randwrite, offset: 4096, size: 64 * 4096, loops: 2)
        func headers(_ sequence: inout BlockSequence) -> [FioHeader] {
            var headers: [FioHeader] = []
            while let header = sequence.next() { headers.append(header) }
            return headers
        }
        var first = BlockSequence(workload)
        var again = first
        let written = headers(&first)
        #expect(written == headers(&again))
        #expect(Set(written.map(\.offset)).count == 64)
        #expect(written.map(\.offset).min() == 4096)
        var second = first.following()
        let later = headers(&second)
        #expect(Set(later.map(\.seed)).isDisjoint(with: written.map(\.seed)))
        #expect(Set(later.map(\.offset)) == Set(written.map(\.offset)))
    }

    @Test("a size that is no multiple of the block size is refused with those that are")
    func sizes() {
        #expect {
            try Workload(blockSize: 4096, size: 10000).validate()
        } throws: { error in
            (error as? IopmemError)?.code == .usage
                && (error as? IopmemError)?.remedy == "use --size 8K or --size 12K"
        }
    }

    @Test("what makes no sense is a usage error")
    func refusals() {
        let senseless = [
            Workload(size: 0), Workload(blockSize: 100, size: 1000),
            Workload(blockSize: 0, size: 4096), Workload(offset: 100, size: 4096),
            Workload(size: 4096, loops: 0),
            Workload(offset: UInt64.max / 512 * 512, size: 4096),
            Workload(size: 4096, engine: .mmap, direct: true),
            Workload(blockSize: 32 << 20, size: 32 << 20),
        ]
        for workload in senseless {
            #expect { try workload.validate() } throws: {
                ($0 as? IopmemError)?.exitStatus == 64
            }
        }
    }
}
