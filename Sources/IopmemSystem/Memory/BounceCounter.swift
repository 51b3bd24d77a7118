// SPDX-License-Identifier: GPL-2.0
private import CMemory
public import SystemPackage

/// Counts how often the kernel copies one device's DMA through its bounce
/// buffers (swiotlb), which it does without telling anybody.
///
/// The tracepoint swiotlb:swiotlb_bounced fires once for each such mapping and
/// names the device, so the count is exact, and is not disturbed by others.
public final class BounceCounter {
    private static let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
    private let counters: [FileDescriptor]

    /// Counts from now on.
    ///
    /// - Parameters:
    ///   - device: the kernel's name of the device, a BDF for a PCI function.
    ///   - root: where tracefs and the list of processors are read.
    ///
    /// ENOENT where tracefs is not mounted or the kernel has no bounce buffers;
    /// EACCES or EPERM without the right to count.
    public init(device: String, root: SystemRoot = .machine) throws(Errno) {
        let event = "events/swiotlb/swiotlb_bounced/id"
        guard let place = Self.places.first(where: { root.exists("\($0)/\(event)") }) else {
            throw .noSuchFileOrDirectory
        }
        let id = try root.number("\(place)/\(event)")
        let processors = Self.numbers(in: try root.text("/sys/devices/system/cpu/online"))
        var counters: [FileDescriptor] = []
        for processor in processors {
            let result = iopmem_count_tracepoint(
                id, CInt(processor), "dev_name == \"\(device)\"")
            guard result >= 0 else {
                for counter in counters { try? counter.close() }
                throw Errno(rawValue: -result)
            }
            counters.append(FileDescriptor(rawValue: result))
        }
        self.counters = counters
    }

    deinit {
        for counter in counters { try? counter.close() }
    }

    /// Bounces since this counter was made.
    public func count() throws(Errno) -> UInt64 {
        var sum: UInt64 = 0
        for counter in counters {
            var value: UInt64 = 0
            let got = try? withUnsafeMutableBytes(of: &value) { try counter.read(into: $0) }
            guard got == 8 else { throw .ioError }
            sum += value
        }
        return sum
    }

    /// Reads a list such as `0-3,8`.
    static func numbers(in list: String) -> [Int] {
        list.split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }
}
