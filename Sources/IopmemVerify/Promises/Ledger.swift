// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// Remembers what a run has begun to write and what it may rely on.
protocol Ledger: AnyObject {
    /// Before the next `step` blocks of a loop are written; `.max` for all that are left.
    func announce(loop: UInt64, step: UInt64) throws(IopmemError)
    /// After everything up to a position of a loop is durable.
    func promise(loop: UInt64, position: UInt64) throws(IopmemError)
}
