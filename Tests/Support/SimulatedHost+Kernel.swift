// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// What the PCI core and the driver do to sysfs.
extension SimulatedHost {
    /// A write to one of the files that the PCI core has.
    func kernelTakes(_ value: String, _ path: String) throws {
        let parts = path.split(separator: "/").map(String.init)
        if path.hasPrefix("/sys/kernel/config/nvmet/") {
            guard root.exists(path) else { throw Errno.noSuchFileOrDirectory }
            try tree.write(value, to: path)
            // The target opens the node.
            guard parts.last == "enable",
                let node = root.optionalText(
                    "\(parts.dropLast().map { "/" + $0 }.joined())/device_path"),
                let directory = root.realPath("/sys/class/iopmem/\(node.dropFirst(5))")
            else { return }
            return try tree.write("1", to: "\(directory)/openers")
        }
        switch parts.last {
        case "driver_override":
            try tree.write(
                value == "\n" ? "(null)" : value, to: try real(parts[4], "driver_override"))
        case "drivers_probe":
            try probe(value)
        case "unbind":
            guard root.linkName("/sys/bus/pci/devices/\(value)/driver") == parts[4] else {
                throw Errno.operationNotSupportedByDevice
            }
            if parts[4] == "iopmem" { try removeRegions(of: value) }
            try tree.remove(try real(value, "driver"))
        case let attribute? where attribute.hasSuffix("_resize"):
            try resize(parts[4], attribute, bit: value)
        default:
            throw Errno.noSuchFileOrDirectory
        }
    }

    /// Gives a BAR another size, in the same place.
    private func resize(_ address: String, _ attribute: String, bit: String) throws {
        let digit = attribute.dropFirst("resource".count).first
        guard let bar = digit?.wholeNumberValue, let bit = UInt64(bit),
            let set = UInt64(try root.text(try real(address, attribute)), radix: 16),
            set >> bit & 1 != 0
        else { throw Errno.invalidArgument }
        guard root.linkName("/sys/bus/pci/devices/\(address)/driver") == nil else {
            throw Errno.resourceBusy
        }
        guard bit <= largestBar else { throw Errno.noSpace }
        var lines = try root.text(try real(address, "resource")).split(separator: "\n")
        let fields = lines[bar].split(separator: " ")
        let start = UInt64(sysfs: fields[0]) ?? 0
        let end = String(start + (1 << (20 + bit)) - 1, radix: 16)
        lines[bar] =
            "\(fields[0]) 0x\(String(repeating: "0", count: 16 - end.count))\(end) \(fields[2])"
        try tree.write(lines.joined(separator: "\n"), to: try real(address, "resource"))
    }

    /// Binds a function to a driver, as at boot.
    public func bind(_ address: String, to driver: String) throws {
        try tree.makeDirectory("/sys/bus/pci/drivers/\(driver)")
        ordinaryDrivers[address] = driver
        try linkDriver(address, driver)
    }

    /// Loads the driver and binds a function to it, as an earlier run did.
    public func bindToIopmem(_ address: String) throws {
        try tree.makeDirectory("/sys/bus/pci/drivers/iopmem")
        preparation = nil
        try tree.write("iopmem", to: try real(address, "driver_override"))
        try probe(address)
    }

    private func real(_ address: String, _ attribute: String) throws -> String {
        guard let path = root.realPath("/sys/bus/pci/devices/\(address)") else {
            throw Errno.noSuchFileOrDirectory
        }
        return "\(path)/\(attribute)"
    }

    private func linkDriver(_ address: String, _ driver: String) throws {
        let path = try real(address, "driver")
        let up = String(repeating: "../", count: path.split(separator: "/").count - 2)
        try tree.link(path, to: "\(up)bus/pci/drivers/\(driver)")
    }

    func probe(_ address: String) throws {
        guard root.linkName("/sys/bus/pci/devices/\(address)/driver") == nil else { return }
        let override = root.optionalText(try real(address, "driver_override")) ?? "(null)"
        let driver = override == "(null)" ? ordinaryDrivers[address] : override
        guard let driver, root.exists("/sys/bus/pci/drivers/\(driver)") else { return }
        if driver == "iopmem" {
            wasProbed = true
            guard probeRefusal == nil else { return }
            try makeRegions(of: address)
        }
        try linkDriver(address, driver)
    }

    private func makeRegions(of address: String) throws {
        let lines = try root.text(try real(address, "resource")).split(separator: "\n")
        var number = ((try? root.entries("/sys/class/iopmem")) ?? []).count
        for bar in 0..<6 {
            let fields = lines[bar].split(separator: " ").compactMap { UInt64(sysfs: $0) }
            let mask = preparation?.barMask ?? DriverNumber.allBars
            let size = fields[1] - fields[0] + 1
            guard fields[2] & 0x2200 == 0x2200, size >= DriverNumber.align, mask & 1 << bar != 0
            else { continue }
            let name = "iopmem\(number)"
            let directory = try real(address, "iopmem/\(name)")
            let attributes = [
                "bar": "\(bar)", "size": "\(size)", "available_size": "\(size)",
                "max_available_extent": "\(size)", "label_size": "0",
                "physical_address": "0x" + String(fields[0], radix: 16), "align": "2097152",
                "media": preparation?.media == 1 ? "persistent" : "volatile", "prefetchable": "1",
                "cache_platform": "uc-",
                "cache_kernel": "wc", "numa_node": "-1",
                "modes": (0..<32).filter { version.modes & 1 << $0 != 0 }
                    .compactMap { DriverNumber.modeWord($0) }.joined(separator: " "),
                "uevent": "DEVTYPE=region",
            ]
            for (attribute, value) in attributes {
                try tree.write(value, to: "\(directory)/\(attribute)")
            }
            try tree.link("\(directory)/device", to: "../../../\(address)")
            try tree.link("/sys/class/iopmem/\(name)", to: "../..\(directory.dropFirst(4))")
            try tree.write("", to: "/dev/\(name)")
            number += 1
        }
    }

    private func removeRegions(of address: String) throws {
        for region in try Inventory(root: root).regions where "\(region.device)" == address {
            for namespace in try Inventory(root: root).namespaces(in: region) {
                try removeNamespace(namespace.dev)
            }
            try tree.remove("/sys/class/iopmem/\(region.dev)")
            try tree.remove("/dev/\(region.dev)")
        }
        try? tree.remove(try real(address, "iopmem"))
    }

    /// What the driver does for a create, without its checks.
    func makeNamespace(_ request: NamespaceRequest, in region: String) throws -> NamespacePlace {
        let inventory = try Inventory(root: root)
        guard let owner = inventory.findRegion(named: region) else {
            throw Errno.noSuchFileOrDirectory
        }
        let others = inventory.namespaces(in: owner)
        let offset = request.offset ?? 0
        let end = offset + request.length
        if others.contains(where: { $0.offset < end && offset < $0.offset + $0.size }) {
            throw DriverRefusal(.resourceBusy, reason: "the range overlaps a namespace")
        }
        guard offset >= owner.labelSize else {
            throw DriverRefusal(.resourceBusy, reason: "the first 2097152 bytes are labels")
        }
        if inventory.namespaces.contains(where: { $0.uuid.bytes == request.uuid }) {
            throw DriverRefusal(.fileExists, reason: "the UUID is taken")
        }
        if let id = request.id, others.contains(where: { $0.id == id }) {
            throw DriverRefusal(.fileExists, reason: "the number \(id) is taken")
        }
        let free = (1...99).first { id in !others.contains { $0.id == UInt32(id) } } ?? 0
        let id = request.id.map(Int.init) ?? free
        let name = "\(region)n\(id)"
        let directory = try real("\(owner.device)", "iopmem/\(region)/\(name)")
        let mode = DriverNumber.modeWord(request.mode) ?? ""
        let isBlock = mode == "fsdax" || mode == "raw"
        let hasPool = root.exists(try real("\(owner.device)", "p2pmem"))
        guard mode != "p2pdma" || !hasPool else {
            throw DriverRefusal(.notSupported, reason: "\(owner.device) has one already")
        }
        let attributes = [
            "id": "\(id)", "uuid": "\(NamespaceUUID(bytes: request.uuid)?.description ?? "")",
            "name": request.name, "offset": "\(offset)", "size": "\(request.length)",
            "align": "2097152",
            "physical_address": "0x" + String(owner.physicalAddress + offset, radix: 16),
            "numa_node": "-1", "mode": mode,
            "map": request.map == 0 ? "none" : "mem", "state": "enabled", "cache_kernel": "wc",
            "openers": "0", "last_opener": "", "flushes": "0", "uevent": "DEVTYPE=namespace",
        ]
        for (attribute, value) in attributes {
            try tree.write(value, to: "\(directory)/\(attribute)")
        }
        try tree.link("\(directory)/device", to: "../../\(region)")
        try tree.link("/sys/class/iopmem/\(name)", to: "../..\(directory.dropFirst(4))")
        if isBlock {
            try tree.write("259:\(id)", to: "\(directory)/\(name)/dev")
            try tree.link("/sys/class/block/\(name)", to: "../..\(directory.dropFirst(4))/\(name)")
            try tree.write("", to: "/dev/\(name)")
        } else if mode == "devdax" {
            try tree.write("234:\(id)", to: "\(directory)/dev")
            try tree.write("", to: "/dev/iopdax\(name.dropFirst(6))")
        } else if mode == "p2pdma" {
            let pool = try real("\(owner.device)", "p2pmem")
            try tree.write("", to: "\(pool)/allocate")
            try tree.write(request.publish ? "1" : "0", to: "\(pool)/published")
        }
        return NamespacePlace(id: UInt32(id), offset: offset)
    }

    func removeNamespace(_ name: String) throws {
        guard let directory = root.realPath("/sys/class/iopmem/\(name)") else {
            throw DriverRefusal(.noSuchFileOrDirectory, reason: "there is no \(name)")
        }
        let mode = root.optionalText("\(directory)/mode")
        try tree.remove(directory)
        try tree.remove("/sys/class/iopmem/\(name)")
        if mode == "devdax" { return try tree.remove("/dev/iopdax\(name.dropFirst(6))") }
        guard mode != "p2pdma" else { return }
        try tree.remove("/sys/class/block/\(name)")
        try tree.remove("/dev/\(name)")
    }
}

/// The driver's control node.
final class SimulatedControl: DriverControl {
    private let host: SimulatedHost
    private var isOpen = true

    init(_ host: SimulatedHost) { self.host = host }

    func version() throws(DriverRefusal) -> DriverVersion {
        guard !host.shallFail("ask for the version") else {
            throw DriverRefusal(.inappropriateIOCTLForDevice)
        }
        return host.version
    }

    func prepareBind(_ preparation: BindPreparation) throws(DriverRefusal) {
        guard !host.shallFail("prepare") else {
            throw DriverRefusal(.resourceBusy, reason: "it is being bound by somebody else")
        }
        host.preparation = preparation
        host.wasProbed = false
    }

    func bindResult() throws(DriverRefusal) -> BindResult {
        guard !host.shallFail("ask for the result"), host.wasProbed else {
            throw DriverRefusal(.resourceTemporarilyUnavailable)
        }
        return host.probeRefusal ?? BindResult(error: nil, reason: "", bars: [])
    }

    func retire(
        _ function: FunctionNumber, revoke: Bool, watch: () -> Void
    ) throws(DriverRefusal) -> Int {
        guard !host.shallFail("retire") else { throw DriverRefusal(.ioError) }
        host.retirements.append(revoke)
        if !revoke { try host.refuseWhileBusy() }
        if revoke { host.wait(watch) }
        return host.attempt {
            let namespaces = try Inventory(root: host.root).namespaces.filter {
                ($0.device.domain, $0.device.bus, $0.device.devfn)
                    == (function.domain, function.bus, function.devfn)
            }
            for namespace in namespaces { try host.removeNamespace(namespace.dev) }
            return namespaces.count
        } ?? 0
    }

    func close() {
        if isOpen { host.openNodes -= 1 }
        isOpen = false
    }
}

/// A region's node.
final class SimulatedRegion: RegionControl {
    private let host: SimulatedHost
    private let name: String
    /// The function whose memory it is.
    private let address: String
    private var isOpen = true

    init(_ host: SimulatedHost, _ region: Region) {
        self.host = host
        name = region.dev
        address = "\(region.device)"
    }

    func version() throws(DriverRefusal) -> DriverVersion { host.version }

    func signatures(in range: Range<UInt64>) throws(Errno) -> [Signature] {
        guard !host.shallFail("look for signatures at \(range.lowerBound)") else {
            throw Errno.ioError
        }
        return host.regionSignatures[range.lowerBound] ?? []
    }

    func create(_ request: NamespaceRequest) throws(DriverRefusal) -> NamespacePlace {
        guard !host.shallFail("create \(request.length) at \(request.offset ?? 0)") else {
            throw DriverRefusal(.noMemory, reason: "no memory for struct pages")
        }
        guard host.version.modes & 1 << request.mode != 0 else {
            throw DriverRefusal(.notSupported, reason: "driver 0.1.0 has no such mode")
        }
        do {
            try host.beforeCreate?(host)
            return try host.makeNamespace(request, in: name)
        } catch {
            throw error as? DriverRefusal ?? DriverRefusal(.ioError)
        }
    }

    func lock(until deadline: Deadline) throws(Errno) {
        guard !host.shallFail("lock \(name)") else { throw Errno.ioError }
        guard !host.isLockedByAnother else { throw Errno.resourceTemporarilyUnavailable }
    }

    func read(count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        guard !host.shallFail("read \(count) at \(offset)") else { throw Errno.ioError }
        let memory = host.memory[address] ?? SimulatedHost.blank
        return Array(memory.dropFirst(Int(offset)).prefix(count))
    }

    func injectError(_ request: ErrorInjection) throws(DriverRefusal) {
        guard !host.shallFail("inject an error") else {
            throw DriverRefusal(.notSupported, reason: "the driver was built without it")
        }
        host.injections.append(request)
    }

    func setLabelArea(length: UInt64) throws(DriverRefusal) {
        guard !host.shallFail("set the label area to \(length)") else {
            throw DriverRefusal(.resourceBusy, reason: "a namespace is there")
        }
        do {
            let directory = host.root.realPath("/sys/class/iopmem/\(name)") ?? ""
            try host.tree.write("\(length)", to: "\(directory)/label_size")
        } catch {
            throw DriverRefusal(.ioError)
        }
    }

    func writeLabels(_ bytes: [UInt8], at offset: UInt64) throws(DriverRefusal) {
        let isWhole = !host.shallFail("write \(bytes.count) at \(offset)")
        guard let region = try? Inventory(root: host.root).findRegion(named: name),
            offset + UInt64(bytes.count) <= region.labelSize, bytes.count <= 65536,
            offset.isMultiple(of: 8), bytes.count.isMultiple(of: 8)
        else { throw DriverRefusal(.outOfRange, reason: "outside the label area") }
        // Also a write that fails may have come half-way.
        let count = isWhole ? bytes.count : bytes.count / 16 * 8
        host.memory[address, default: SimulatedHost.blank]
            .replaceSubrange(Int(offset)..<Int(offset) + count, with: bytes.prefix(count))
        guard isWhole else { throw DriverRefusal(.ioError, reason: "the device does not answer") }
    }

    func destroy(_ request: NamespaceRemoval, watch: () -> Void) throws(DriverRefusal) {
        let shallFail = host.shallFail("destroy \(name)n\(request.id)")
        guard !shallFail else { throw DriverRefusal(.ioError, reason: "the device is gone") }
        if !request.revoke { try host.refuseWhileBusy() }
        host.removals.append(request)
        if request.revoke { host.wait(watch) }
        do {
            if request.zero {
                // Nothing yet, a part, and the rest.
                let directory = "/sys/class/iopmem/\(name)n\(request.id)"
                let size = try host.root.number("\(directory)/size")
                for done in [0, size / 4, size] {
                    try host.tree.write("\(done)", to: "\(directory)/wiped")
                    watch()
                }
            }
            try host.removeNamespace("\(name)n\(request.id)")
            if host.failsToWipe { throw DriverRefusal(.ioError, reason: "it is gone, but") }
        } catch {
            throw error as? DriverRefusal ?? DriverRefusal(.ioError)
        }
    }

    func close() {
        if isOpen { host.openNodes -= 1 }
        isOpen = false
    }
}

extension SimulatedHost {
    /// What memory is that nobody has written to.
    static let blank = [UInt8](repeating: 0, count: 2 << 20)

    /// A revocation waits for pins: the driver says for whose, and nothing when they are gone.
    func wait(_ watch: () -> Void) {
        for text in ["", pins, pins, ""] {
            for region in (try? Inventory(root: root).regions) ?? [] {
                try? tree.write("\(text)\n", to: "/sys/class/iopmem/\(region.dev)/waits_for")
            }
            watch()
        }
    }

    func refuseWhileBusy() throws(DriverRefusal) {
        guard busyAnswers > 0 else { return }
        busyAnswers -= 1
        throw DriverRefusal(.resourceBusy, reason: "iopmem0n1 is open, last by x[1]")
    }

    func attempt<Result>(_ body: () throws -> Result) -> Result? {
        try? body()
    }
}
