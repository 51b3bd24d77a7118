// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("Kernels")
struct KernelTests {
    @Test("share variants so that all of them are tried", arguments: 1...4, [0, 1, 2, 5, 19])
    func share(kernels: Int, variants: Int) {
        let all = Array(0..<variants)
        let shares = (0..<kernels).map { Kernel.share(of: all, for: $0, among: kernels) }
        #expect(Set(shares.joined()) == Set(all))
        for share in shares {
            #expect(share.first == all.first, "the first is for every kernel")
            #expect(share == share.sorted())
        }
        // Each of the others once.
        #expect(shares.joined().count { $0 > 0 } == max(0, variants - 1))
    }

    @Test("try everything when they are alone")
    func alone() {
        #expect(Kernel.share(of: ["a", "b", "c"], for: 0, among: 1) == ["a", "b", "c"])
    }
}
