// SPDX-License-Identifier: GPL-2.0

/// RAM that O_DIRECT accepts, zeroed, freed with its owner.
public struct AlignedBuffer: ~Copyable {
    /// The memory. Valid as long as the owner lives.
    public let bytes: UnsafeMutableRawBufferPointer

    /// - Parameters:
    ///   - size: in bytes.
    ///   - alignment: in bytes, a power of two. A page suits every block device.
    public init(size: Int, alignment: Int = 4096) {
        bytes = .allocate(byteCount: size, alignment: alignment)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { bytes.deallocate() }
}
