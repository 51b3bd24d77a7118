// SPDX-License-Identifier: GPL-2.0
import CIopmem
public import SystemPackage

/// /dev/iopmemN: a region's bytes, and the making and unmaking of namespaces.
public struct RegionNode: ~Copyable {
    let node: OwnedDescriptor

    /// Opens the node at `path`; only root can.
    public init(path: String) throws(Errno) {
        node = try OwnedDescriptor(path: path, mode: .readWrite)
    }

    /// The driver's version.
    public borrowing func version() throws(DriverRefusal) -> DriverVersion {
        try driverVersion(node)
    }

    /// Bytes of the region, fewer than `count` only at its end.
    public borrowing func read(count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        try node.read(count: count, at: offset)
    }

    /// Makes a namespace; when it returns, the namespace stands in sysfs.
    public borrowing func create(
        _ request: NamespaceRequest
    ) throws(DriverRefusal) -> NamespacePlace {
        var argument = iopmem_namespace_create()
        argument.mode = request.mode
        argument.map = request.map
        argument.length = request.length
        if let offset = request.offset {
            argument.flags |= iopmem_namespace_create_f_offset
            argument.offset = offset
        }
        if let id = request.id {
            argument.flags |= iopmem_namespace_create_f_id
            argument.id = id
        }
        if request.publish { argument.flags |= iopmem_namespace_create_f_publish }
        fill(&argument.uuid, with: request.uuid)
        fill(&argument.name, with: request.name.utf8.prefix(DriverNumber.maxNameLength))
        let answer = try driverCall(node, iopmem_ioc_create_namespace, argument) {
            text(in: $0.reason)
        }
        return NamespacePlace(id: answer.id, offset: answer.offset)
    }

    /// Unmakes a namespace: all of it, or nothing.
    ///
    /// - Parameter watch: called some times a second while all of the memory is overwritten, or
    ///   taken away from its users.
    public borrowing func destroy(
        _ request: NamespaceRemoval, watch: () -> Void
    ) throws(DriverRefusal) {
        var argument = iopmem_namespace_destroy()
        argument.id = request.id
        if request.zero { argument.flags |= iopmem_namespace_destroy_f_zero }
        if request.revoke { argument.flags |= iopmem_namespace_destroy_f_revoke }
        fill(&argument.uuid, with: request.uuid)
        let wipes = request.wipes.map {
            iopmem_range(offset: $0.lowerBound, length: UInt64($0.count))
        }
        argument.nr_wipes = UInt32(wipes.count)
        let node = node.raw
        let result = wipes.withUnsafeBufferPointer { buffer in
            argument.wipes = buffer.isEmpty ? 0 : UInt64(UInt(bitPattern: buffer.baseAddress))
            let filled = argument
            let call: @Sendable () -> Result<Void, DriverRefusal> = {
                Result { () throws(DriverRefusal) in
                    _ = try driverCall(node, iopmem_ioc_destroy_namespace, filled) {
                        text(in: $0.reason)
                    }
                }
            }
            return request.zero || request.revoke ? Workers.run(call, watch: watch) : call()
        }
        try result.get()
    }
}

/// A namespace that shall be made.
public struct NamespaceRequest: Equatable, Sendable {
    /// IOPMEM_MODE_*.
    public var mode: UInt32
    /// IOPMEM_MAP_*, or 0 without struct pages.
    public var map: UInt32
    /// Exactly there, in bytes from the start of the region; else first fit.
    public var offset: UInt64?
    /// Bytes.
    public var length: UInt64
    /// Exactly this number; else the lowest free one.
    public var id: UInt32?
    /// 16 bytes.
    public var uuid: [UInt8]
    /// The user's name, or empty.
    public var name: String
    /// Other drivers may allocate from it: mode p2pdma.
    public var publish: Bool

    /// That request.
    public init(
        mode: UInt32, map: UInt32, offset: UInt64?, length: UInt64, id: UInt32? = nil,
        uuid: [UInt8], name: String, publish: Bool = false
    ) {
        self.mode = mode
        self.map = map
        self.offset = offset
        self.length = length
        self.id = id
        self.uuid = uuid
        self.name = name
        self.publish = publish
    }
}

/// Where the driver put a namespace.
public struct NamespacePlace: Equatable, Sendable {
    /// Its number.
    public var id: UInt32
    /// Bytes from the start of the region.
    public var offset: UInt64

    /// That place.
    public init(id: UInt32, offset: UInt64) {
        self.id = id
        self.offset = offset
    }
}

/// A namespace that shall go.
public struct NamespaceRemoval: Equatable, Sendable {
    /// Its number.
    public var id: UInt32
    /// Its 16 bytes of identity.
    public var uuid: [UInt8]
    /// Overwrite all of it with zeros.
    public var zero: Bool
    /// Take it away from its users.
    public var revoke: Bool
    /// Bytes of it to overwrite with zeros, at most `DriverNumber.maxWipes`.
    public var wipes: [Range<UInt64>]

    /// That request.
    public init(
        id: UInt32, uuid: [UInt8], zero: Bool = false, revoke: Bool = false,
        wipes: [Range<UInt64>] = []
    ) {
        self.id = id
        self.uuid = uuid
        self.zero = zero
        self.revoke = revoke
        self.wipes = wipes
    }
}
