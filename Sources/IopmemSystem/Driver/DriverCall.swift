// SPDX-License-Identifier: GPL-2.0
import CIopmem
import Glibc
import SystemPackage

/// A struct of the ABI that begins with its own size.
protocol DriverArgument {
    var size: UInt32 { get set }
    init()
}

extension iopmem_version: DriverArgument {}
extension iopmem_device_bind: DriverArgument {}
extension iopmem_bind_result: DriverArgument {}
extension iopmem_device_retire: DriverArgument {}
extension iopmem_namespace_create: DriverArgument {}
extension iopmem_namespace_destroy: DriverArgument {}
extension iopmem_label_area: DriverArgument {}
extension iopmem_label_write: DriverArgument {}
extension iopmem_error_injection: DriverArgument {}

/// Makes one ioctl of ours, with the size filled in, and returns what came back.
///
/// A failure carries the driver's reason, which `reason` finds in the struct.
func driverCall<Argument: DriverArgument & BitwiseCopyable>(
    _ node: borrowing OwnedDescriptor, _ request: UInt, _ filled: Argument,
    reason: (Argument) -> String
) throws(DriverRefusal) -> Argument {
    try driverCall(node.raw, request, filled, reason: reason)
}

/// The same for who sees to it that the descriptor stays open.
func driverCall<Argument: DriverArgument & BitwiseCopyable>(
    _ node: FileDescriptor, _ request: UInt, _ filled: Argument, reason: (Argument) -> String
) throws(DriverRefusal) -> Argument {
    var argument = filled
    argument.size = UInt32(MemoryLayout<Argument>.size)
    let number = node.rawValue
    do throws(Errno) {
        try retrying {
            withUnsafeMutableBytes(of: &argument) { bytes -> CInt in
                guard let start = bytes.baseAddress else { return -1 }
                return ioctl(number, request, start)
            }
        }
    } catch {
        throw DriverRefusal(error, reason: reason(argument))
    }
    return argument
}

/// The text in a C array of bytes, up to its NUL.
func text<CArray>(in array: CArray) -> String {
    withUnsafeBytes(of: array) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

/// Puts `bytes` at the start of a C array; what does not fit is left out, and
/// callers check lengths beforehand.
func fill<CArray>(_ array: inout CArray, with bytes: some Collection<UInt8>) {
    withUnsafeMutableBytes(of: &array) { $0.copyBytes(from: bytes.prefix($0.count)) }
}
