// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// Something that happened to a region or a namespace.
public struct MachineEvent: Sendable, Equatable {
    /// What happened.
    public enum Kind: String, Sendable, Encodable, CaseIterable {
        /// A device was bound: a region is there.
        case bound
        /// A region has gone.
        case unbound
        /// A namespace can be used: its node is there, with udev's links.
        case added
        /// A namespace has gone.
        case removed
        /// A namespace is being taken away from its users.
        case revoked
        /// A block of a namespace was found bad.
        case mediaError = "media-error"
        /// Its function was reset: the contents may be gone.
        case reset
        /// The machine has slept: the contents may be gone.
        case resumed
        /// Events came too fast and some were not heard; `list` tells how it is now.
        case lost
    }

    /// What happened.
    public var kind: Kind
    /// When it was heard.
    public var time: Timestamp
    /// The kernel's name of what it happened to.
    public var dev: String?
    /// The kernel's name of its region.
    public var region: String?
    /// The PCI function.
    public var device: PCIAddress?
    /// Of a namespace.
    public var uuid: NamespaceUUID?
    /// Of a namespace that has one.
    public var name: String?
    /// Of a namespace.
    public var mode: Namespace.Mode?
    /// How often a namespace was open when it was revoked.
    public var openers: Int?
    /// How many blocks of 512 bytes are known to be bad.
    public var badBlocks: UInt64?

    /// An event of which only that is known.
    public init(_ kind: Kind, at time: Timestamp) {
        self.kind = kind
        self.time = time
    }
}

extension MachineEvent {
    /// What the kernel's event means, or nil if it is not about us.
    ///
    /// The rules are in the ABI header, at "uevents"; `root` is asked for what
    /// they do not carry.
    init?(_ event: DeviceEvents.Event, at time: Timestamp, root: SystemRoot) {
        guard let name = KernelName(event.name) else { return nil }
        guard let kind = Self.kind(of: event, isNamespace: name.namespace != nil) else {
            return nil
        }
        self.init(kind, at: time)
        dev = name.text
        region = name.region
        device = event.path.split(separator: "/").compactMap { PCIAddress($0) }.last
        guard name.namespace != nil else { return }
        let object = SysfsObject(root: root, path: "\(Inventory.classPath)/\(name.text)")
        let properties = event.properties
        uuid = (properties["IOPMEM_UUID"] ?? object.optionalText("uuid"))
            .flatMap { NamespaceUUID($0) }
        mode = (properties["IOPMEM_MODE"] ?? object.optionalText("mode"))
            .map { Namespace.Mode(rawValue: $0) }
        let called = properties["IOPMEM_NAME"] ?? object.optionalText("name")
        self.name = called?.isEmpty == true ? nil : called
        if kind == .revoked { openers = properties["IOPMEM_OPENERS"].flatMap { Int($0) } }
        if kind == .mediaError { badBlocks = try? object.number("bad_blocks") }
    }

    private static func kind(of event: DeviceEvents.Event, isNamespace: Bool) -> Kind? {
        switch (event.subsystem, event.action, isNamespace) {
        case (DriverFacts.name, "add", false): .bound
        case (DriverFacts.name, "remove", false): .unbound
        case ("block", "add", true): .added
        // Those that have no disk.
        case (DriverFacts.name, "add", true):
            ["devdax", "p2pdma"].contains(event.properties["IOPMEM_MODE"]) ? .added : nil
        case (DriverFacts.name, "remove", true): .removed
        case (DriverFacts.name, "change", true):
            switch event.properties["IOPMEM_EVENT"] {
            // A namespace that nobody uses is not taken from anybody.
            case "dying": event.properties["IOPMEM_OPENERS"] == "0" ? nil : .revoked
            case "media-error": .mediaError
            case "reset": .reset
            case "resume": .resumed
            default: nil
            }
        default: nil
        }
    }
}

extension MachineEvent: Encodable {
    private enum CodingKeys: String, CodingKey {
        case event, time, dev, region, device, uuid, name, mode, openers
        case badBlocks = "bad_blocks"
    }

    /// The keys beside `"schema"`; those without a value are left out.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(kind, forKey: .event)
        try container.encode(time.description, forKey: .time)
        try container.encodeIfPresent(dev, forKey: .dev)
        try container.encodeIfPresent(region, forKey: .region)
        try container.encodeIfPresent(device, forKey: .device)
        try container.encodeIfPresent(uuid, forKey: .uuid)
        try container.encodeIfPresent(name, forKey: .name)
        try container.encodeIfPresent(mode?.rawValue, forKey: .mode)
        try container.encodeIfPresent(openers, forKey: .openers)
        try container.encodeIfPresent(badBlocks, forKey: .badBlocks)
    }
}
