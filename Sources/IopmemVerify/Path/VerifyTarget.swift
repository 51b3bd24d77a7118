// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import IopmemSystem
import SystemPackage

/// What a run is aimed at, and which memory is behind it.
public struct VerifyTarget: Sendable, Equatable {
    /// What it is.
    public enum Kind: Sendable, Equatable {
        /// A regular file that does not exist yet.
        case newFile
        /// A regular file.
        case file
        /// A block device: a namespace's node, a partition, any other disk.
        case blockNode
        /// A character device of memory that programs map, in multiples of so many bytes: device DAX.
        case daxNode(unit: UInt64)
    }

    /// The path that is opened.
    public let path: String
    /// What it is.
    public let kind: Kind
    /// Bytes; 0 for a new file and for a block node, which must be opened first.
    public let size: UInt64
    /// The block device that it is, or that holds its file system; nil for file
    /// systems without one.
    let device: BlockDevice?
    /// The namespace that this block device is, or is a partition of.
    public let namespace: Namespace?
    /// The region of that namespace.
    public let region: Region?

    /// Finds what a user's word means: a path, or without a slash the name or
    /// UUID of a namespace before the name of a file in the current folder.
    public static func find(_ name: String, on host: any Host) throws(IopmemError) -> Self {
        let inventory = try Inventory(root: host.root)
        if !name.contains("/") {
            if let namespace = inventory.findNamespace(named: name, root: host.root) {
                return try find(node: namespace, inventory, host)
            }
            guard (try? FileStatus(of: name)) != nil else {
                throw IopmemError(
                    .notFound, "\(name) is no namespace and no file",
                    remedy: "show the namespaces: iopmemctl list; to create a file, write ./\(name)"
                )
            }
        }
        return try find(path: name, inventory, host)
    }

    private static func find(
        node namespace: Namespace, _ inventory: Inventory, _ host: any Host
    ) throws(IopmemError) -> Self {
        guard namespace.isBlock || namespace.mode == .devdax else {
            throw IopmemError(
                .unsupported,
                "\(namespace.dev): verify does not know namespaces of mode \(namespace.mode.rawValue)",
                remedy: "verify a namespace of mode fsdax, devdax or raw, or a file on one")
        }
        return try find(path: namespace.path, inventory, host)
    }

    private static func find(
        path: String, _ inventory: Inventory, _ host: any Host
    ) throws(IopmemError) -> Self {
        let status: FileStatus
        do throws(Errno) {
            status = try FileStatus(of: path)
        } catch .noSuchFileOrDirectory {
            return try newFile(path, inventory, host)
        } catch {
            throw IopmemError(error, "cannot look at \(path)")
        }
        switch status.kind {
        case .regular:
            return Self(path, .file, status.size, on: status.fileSystem, inventory, host)
        case .block:
            return Self(path, .blockNode, 0, on: status.device, inventory, host)
        case .directory:
            throw IopmemError(
                .usage, "\(path) is a directory", remedy: "name a file in it, with --size")
        case .character:
            return try daxNode(path, status.device, inventory, host)
        case .other:
            throw IopmemError(.usage, "\(path) is neither a file nor a block device")
        }
    }

    /// A node of device DAX says in sysfs how large it is and how it is mapped (drivers/dax/bus.c).
    private static func daxNode(
        _ path: String, _ number: DeviceNumber, _ inventory: Inventory, _ host: any Host
    ) throws(IopmemError) -> Self {
        let folder = "/sys/dev/char/\(number)"
        let name = host.root.linkName(folder)
        if let namespace = inventory.namespaces.first(where: {
            $0.mode == .devdax && $0.dev == name
        }
        ) {
            let page = UInt64(FileMapping.pageSize)
            return Self(
                path, .daxNode(unit: page), namespace.size, on: number, inventory, host,
                is: namespace)
        }
        func value(_ attribute: String) -> UInt64? {
            host.root.optionalText("\(folder)/\(attribute)").flatMap { UInt64(sysfs: $0) }
        }
        guard let size = value("size"), let unit = value("align"), size > 0, unit > 0 else {
            throw IopmemError(
                .unsupported, "\(path) is a character device, and not one of device DAX",
                remedy: "verify a namespace of mode fsdax, devdax or raw, or a file on one")
        }
        return Self(path, .daxNode(unit: unit), size, on: number, inventory, host)
    }

    private static func newFile(
        _ path: String, _ inventory: Inventory, _ host: any Host
    ) throws(IopmemError) -> Self {
        let folder = Self.folder(of: path)
        do throws(Errno) {
            let status = try FileStatus(of: folder)
            return Self(path, .newFile, 0, on: status.fileSystem, inventory, host)
        } catch {
            throw IopmemError(
                .notFound, "\(path) does not exist, and neither does the folder \(folder)")
        }
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private init(
        _ path: String, _ kind: Kind, _ size: UInt64, on number: DeviceNumber,
        _ inventory: Inventory, _ host: any Host, is itself: Namespace? = nil
    ) {
        let device = itself == nil ? try? BlockDevice(number, root: host.root) : nil
        let namespace =
            itself
            ?? device.flatMap { device in
                inventory.namespaces.first { $0.isBlock && $0.dev == device.disk }
            }
        self.path = path
        self.kind = kind
        self.size = size
        self.device = device
        self.namespace = namespace
        region = namespace.flatMap { namespace in
            inventory.regions.first { $0.dev == namespace.region }
        }
    }

    /// The memory behind it, where its pages can be mapped: a file on a
    /// namespace of mode fsdax, or the node of one of mode devdax.
    func window(root: SystemRoot) throws(IopmemError) -> BarWindow? {
        if let namespace, namespace.mode == .devdax {
            return try BarWindow(namespace, start: 0, root: root)
        }
        guard kind != .blockNode, let namespace, namespace.mode == .fsdax, let device else {
            return nil
        }
        return try BarWindow(namespace, start: device.start, root: root)
    }

    /// Whether it is a device, whose contents are lost when it is written to.
    var isDevice: Bool {
        switch kind {
        case .blockNode, .daxNode: true
        case .newFile, .file: false
        }
    }

    /// How it is mapped, where it can only be mapped; else nil.
    var memory: MemoryNode? {
        guard case .daxNode(let unit) = kind else { return nil }
        return MemoryNode(unit: unit, hasSync: namespace != nil)
    }

    /// Why nothing can be said about pages, where nothing can.
    var reasonWithoutPlacement: String? {
        if kind == .blockNode {
            return "a block node has no mapping of device pages; verify a file on it for that"
        }
        if case .daxNode = kind {
            return namespace == nil ? "\(path) is memory of another driver's" : nil
        }
        guard let namespace else { return "\(path) is not on an iopmem namespace" }
        guard namespace.mode == .fsdax else {
            return
                "\(namespace.dev) is of mode \(namespace.mode.rawValue), whose pages cannot be mapped"
        }
        return nil
    }
}

/// A character device of memory that can only be mapped.
struct MemoryNode: Sendable, Equatable {
    /// What mappings of it are multiples of, in bytes.
    let unit: UInt64
    /// Whether it can be asked to flush, as ours can; device DAX cannot (drivers/dax/device.c has no
    /// fsync).
    let hasSync: Bool
}
