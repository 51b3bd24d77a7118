// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// The part of a BAR that a block device shows.
struct BarWindow: Equatable {
    /// CPU addresses of the whole BAR, as the PCI core has them: not what our
    /// own driver says, so that the two check each other.
    let bar: Range<UInt64>
    /// `BAR 2 of 0000:03:00.0`
    let name: String
    /// The CPU address of the block device's byte 0.
    let base: UInt64

    init(bar: Range<UInt64>, name: String, base: UInt64) {
        self.bar = bar
        self.name = name
        self.base = base
    }

    /// - Parameter start: where in the namespace the block device begins.
    init(_ namespace: Namespace, start: UInt64, root: SystemRoot) throws(IopmemError) {
        let path = "/sys/bus/pci/devices/\(namespace.device)/resource"
        let lines: [Substring]
        do throws(Errno) {
            lines = try root.text(path).split(separator: "\n", omittingEmptySubsequences: false)
        } catch {
            throw IopmemError(error, "cannot read \(path)")
        }
        // One line for each BAR: first byte, last byte, flags.
        let words = lines.indices.contains(namespace.bar) ? lines[namespace.bar] : ""
        let numbers = words.split(separator: " ").compactMap { UInt64(sysfs: $0) }
        guard numbers.count == 3, numbers[0] < numbers[1] else {
            throw IopmemError(
                .failed, "\(path) has no address for BAR \(namespace.bar)",
                remedy: "see what the kernel assigned: iopmemctl devices \(namespace.device)")
        }
        self.init(
            bar: numbers[0]..<(numbers[1] + 1),
            name: "BAR \(namespace.bar) of \(namespace.device)",
            base: namespace.physicalAddress + start)
    }

    /// The BAR and its addresses, for sentences.
    var description: String {
        "\(name) (0x\(String(bar.lowerBound, radix: 16))-0x\(String(bar.upperBound - 1, radix: 16)))"
    }
}
