// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// Whether the kernel copied a device's direct transfers through RAM.
///
/// Only what happens inside `during` counts: the same device also reads into RAM
/// for comparison, which may bounce as it likes.
final class Bounces {
    private let function: String
    private let counter: BounceCounter?
    /// Why there is no count, where there is none.
    private var reason = ""
    private var sum: UInt64 = 0

    init(of function: String, root: SystemRoot) {
        self.function = function
        do throws(Errno) {
            counter = try BounceCounter(device: function, root: root)
        } catch {
            counter = nil
            reason = error == .noSuchFileOrDirectory ? "tracefs is not mounted" : error.description
        }
    }

    /// Makes a direct transfer and counts.
    func during<Result>(
        _ transfer: () throws(IopmemError) -> Result
    ) throws(IopmemError) -> Result {
        let before = count()
        let result = try transfer()
        if let before, let after = count() { sum += after - before }
        return result
    }

    private func count() -> UInt64? {
        do throws(Errno) {
            return try counter?.count()
        } catch {
            reason = error.description
            return nil
        }
    }

    /// Why nothing is known; nil if something is.
    var ignorance: String? { counter != nil && reason.isEmpty ? nil : reason }

    /// What is known, for the evidence; fails if there were any.
    func words() throws(IopmemError) -> String {
        if let ignorance { return "bounce counters not available (\(ignorance))" }
        guard sum == 0 else {
            throw IopmemError(
                .verification,
                "the kernel copied \(sum) transfers of \(function) through bounce buffers in RAM",
                remedy:
                    "see swiotlb= and iommu= on the kernel's command line, and the DMA mask of \(function)"
            )
        }
        return "no bounce of \(function) (tracepoint swiotlb_bounced)"
    }
}
