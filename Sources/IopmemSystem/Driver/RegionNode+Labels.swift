// SPDX-License-Identifier: GPL-2.0
import CIopmem
import Glibc
public import SystemPackage

extension RegionNode {
    /// Says that the region's first `length` bytes are labels (`DriverNumber.align`)
    /// or that they are not (0). Holds until the device is unbound.
    public borrowing func setLabelArea(length: UInt64) throws(DriverRefusal) {
        var argument = iopmem_label_area()
        argument.length = length
        _ = try driverCall(node, iopmem_ioc_set_label_area, argument) { text(in: $0.reason) }
    }

    /// Writes within the label area; when it returns, the bytes are on the
    /// device. Offset and count are multiples of 8, and the count is at most
    /// `DriverNumber.maxLabelWrite`.
    public borrowing func writeLabels(
        _ bytes: [UInt8], at offset: UInt64
    ) throws(DriverRefusal) {
        var argument = iopmem_label_write()
        argument.offset = offset
        argument.length = UInt64(bytes.count)
        let result: Result<Void, DriverRefusal> = bytes.withUnsafeBytes { buffer in
            argument.data = UInt64(UInt(bitPattern: buffer.baseAddress))
            do throws(DriverRefusal) {
                _ = try driverCall(node, iopmem_ioc_write_labels, argument) {
                    text(in: $0.reason)
                }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Makes blocks of a namespace bad, in drivers that were built for it.
    public borrowing func injectError(_ request: ErrorInjection) throws(DriverRefusal) {
        var argument = iopmem_error_injection()
        argument.id = request.id
        argument.offset = request.range.lowerBound
        argument.length = UInt64(request.range.count)
        fill(&argument.uuid, with: request.uuid)
        _ = try driverCall(node, iopmem_ioc_inject_error, argument) { text(in: $0.reason) }
    }

    /// Locks the node against other tools (flock) and says whether that worked;
    /// the lock goes when the node is closed. Does not wait.
    public borrowing func tryLock() throws(Errno) -> Bool {
        try node.tryLock()
    }
}

/// Blocks of a namespace that shall be bad.
public struct ErrorInjection: Equatable, Sendable {
    /// The namespace's number.
    public var id: UInt32
    /// Its 16 bytes of identity.
    public var uuid: [UInt8]
    /// Bytes from the start of the namespace, both ends multiples of 512.
    public var range: Range<UInt64>

    /// That request.
    public init(id: UInt32, uuid: [UInt8], range: Range<UInt64>) {
        self.id = id
        self.uuid = uuid
        self.range = range
    }
}
