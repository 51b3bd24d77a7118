// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemLabels
import IopmemSystem
import Support

/// A simulated machine whose first card is bound and may have labels.
struct LabelledHost {
    static let card = "0000:00:10.0"
    static let other = "0000:00:11.0"
    static let address = PCIAddress(bus: 0, device: 0x10, function: 0)

    let host: SimulatedHost

    /// With a label area on the first card.
    init(labels: Bool = true) throws {
        host = try SimulatedHost()
        try host.bindToIopmem(Self.card)
        if labels { try initLabels() }
    }

    var operation: Operation { Operation(on: host, telling: RecordingListener()) }

    @discardableResult
    func initLabels(
        force: Bool = false, dryRun: Bool = false,
        agree: (String) throws(IopmemError) -> Void = { _ throws(IopmemError) in }
    ) throws -> LabelListing {
        try operation.initLabels(
            LabelWriteRequest(LabelTarget(Self.address), force: force, dryRun: dryRun),
            agree: agree)
    }

    @discardableResult
    func create(
        _ name: String, megabytes: UInt64, mode: Namespace.Mode = .fsdax
    ) throws -> Namespace? {
        try operation.create(
            CreateRequest(
                device: Self.address, size: .bytes(megabytes << 20), mode: mode,
                map: mode == .raw ? nil : .mem, name: name))
    }

    func destroy(_ name: String) throws {
        let found = try namespaces.first { $0.name == name }
        guard let found else { throw IopmemError(.notFound, name) }
        try operation.destroy(found, DestroyRequest()) { _ in }
    }

    func unbind() throws {
        _ = try operation.unbind(Self.address, dryRun: false)
    }

    @discardableResult
    func restore(
        _ address: PCIAddress? = Self.address, dryRun: Bool = false
    ) throws -> RestoreOutcome {
        try operation.restore(RestoreRequest(address: address, dryRun: dryRun))
    }

    /// What stands.
    var namespaces: [Namespace] {
        get throws { try Inventory(root: host.root).namespaces }
    }

    /// The first card's area, as the module reads it.
    var reading: LabelReading {
        LabelArea.read(
            host.memory[Self.card] ?? [UInt8](repeating: 0, count: 2 << 20),
            regionSize: 256 << 20)
    }

    /// The names in the labels that can be read.
    var labelNames: [String] {
        guard case .area(let area) = reading, area.isWhole else { return ["unreadable"] }
        return area.labels.map(\.name)
    }

    /// Changes one bit in the card's memory.
    func flip(_ offset: Int) {
        host.memory[Self.card]?[offset] ^= 1
    }
}

/// What is the same about a namespace before and after it was away.
struct Identity: Equatable {
    let uuid: NamespaceUUID
    let name: String
    let mode: Namespace.Mode
    let map: Namespace.PageMap?
    let offset: UInt64
    let size: UInt64
    let id: UInt32

    init(_ namespace: Namespace) {
        uuid = namespace.uuid
        name = namespace.name
        mode = namespace.mode
        map = namespace.map
        offset = namespace.offset
        size = namespace.size
        id = namespace.id
    }
}
