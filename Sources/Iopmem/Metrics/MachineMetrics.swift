// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

/// State and counters of all regions and namespaces at one moment.
public struct MachineMetrics {
    /// In a fixed order; those without a value are there, too.
    public var families: [MetricFamily] {
        [loaded, driver] + regions.families + namespaces.families + blocks.families
    }

    private var loaded = MetricFamily(
        "iopmem_driver_loaded", .gauge, "1 where the driver is loaded, else 0.")
    private var driver = MetricFamily(
        "iopmem_driver_info", .gauge, "1 for the driver that is loaded, with its version.")
    private var regions = RegionMetrics()
    private var namespaces = NamespaceMetrics()
    private var blocks = BlockMetrics()

    /// Reads them below `root`; needs neither root nor the driver.
    public init(root: SystemRoot) throws(IopmemError) {
        loaded.add(root.exists(DriverFacts.sysfsPath) ? 1 : 0)
        if let version = root.optionalText("/sys/module/\(DriverFacts.name)/version") {
            driver.add(1, [("version", version)])
        }
        let inventory = try Inventory(root: root)
        for region in inventory.regions {
            regions.add(region, SysfsObject(root: root, inventoryName: region.dev))
        }
        for namespace in inventory.namespaces {
            namespaces.add(namespace, SysfsObject(root: root, inventoryName: namespace.dev))
            if namespace.isBlock { blocks.add(namespace, root) }
        }
    }

    /// All of them in Prometheus' text format.
    public var exposition: String { families.map(\.exposition).joined() }
}

extension SysfsObject {
    fileprivate init(root: SystemRoot, inventoryName: String) {
        self.init(root: root, path: "\(Inventory.classPath)/\(inventoryName)")
    }
}

private typealias Labels = [(name: String, value: String)]

private struct RegionMetrics {
    private var info = MetricFamily(
        "iopmem_region_info", .gauge, "1 for each region, with what does not change.")
    private var size = MetricFamily(
        "iopmem_region_size_bytes", .gauge, "Size of the region's BAR.")
    private var available = MetricFamily(
        "iopmem_region_available_bytes", .gauge, "What no namespace and no label takes.")
    private var extent = MetricFamily(
        "iopmem_region_max_available_extent_bytes", .gauge,
        "The largest namespace that could be made.")
    private var resets = MetricFamily(
        "iopmem_region_resets_total", .counter,
        "Resets of the function; each may have cost the contents.")

    var families: [MetricFamily] { [info, size, available, extent, resets] }

    mutating func add(_ region: Region, _ object: SysfsObject) {
        let labels: Labels = [("region", region.dev), ("device", "\(region.device)")]
        let more: Labels = [
            ("bar", "\(region.bar)"), ("media", region.media),
            ("cache_kernel", region.cacheKernel ?? ""),
        ]
        info.add(1, labels + more)
        size.add(region.size, labels)
        available.add(region.availableSize, labels)
        extent.add(region.maxAvailableExtent, labels)
        if let count = try? object.number("resets") { resets.add(count, labels) }
    }
}

private struct NamespaceMetrics {
    private var info = MetricFamily(
        "iopmem_namespace_info", .gauge, "1 for each namespace, with what does not change.")
    private var size = MetricFamily(
        "iopmem_namespace_size_bytes", .gauge, "Size of the namespace.")
    private var state = MetricFamily(
        "iopmem_namespace_state", .gauge, "1 for the state that the namespace is in, else 0.")
    private var openers = MetricFamily(
        "iopmem_namespace_openers", .gauge, "How often its node is open; a mount counts one.")
    private var flushes = MetricFamily(
        "iopmem_namespace_flushes_total", .counter, "Flushes that have reached the device.")
    private var badBlocks = MetricFamily(
        "iopmem_namespace_bad_blocks", .gauge, "Blocks of 512 bytes that are known to be bad.")

    var families: [MetricFamily] { [info, size, state, openers, flushes, badBlocks] }

    mutating func add(_ namespace: Namespace, _ object: SysfsObject) {
        let labels = namespace.metricLabels
        let more: Labels = [
            ("name", namespace.name), ("mode", namespace.mode.rawValue),
            ("map", namespace.map?.rawValue ?? ""), ("region", namespace.region),
            ("device", "\(namespace.device)"), ("media", namespace.media ?? ""),
        ]
        info.add(1, labels + more)
        size.add(namespace.size, labels)
        for known in [Namespace.State.enabled, .dying, .revoked] {
            state.add(namespace.state == known ? 1 : 0, labels + [("state", known.rawValue)])
        }
        openers.add(namespace.openers, labels)
        if let count = try? object.number("flushes") { flushes.add(count, labels) }
        if let count = try? object.number("bad_blocks") { badBlocks.add(count, labels) }
    }
}

/// From the disk's `stat` (the kernel's Documentation/block/stat.rst).
private struct BlockMetrics {
    private static let mapped = "Loads and stores through mappings are not counted."
    private var reads = MetricFamily(
        "iopmem_namespace_reads_completed_total", .counter, "Block reads. \(mapped)")
    private var readBytes = MetricFamily(
        "iopmem_namespace_read_bytes_total", .counter, "Bytes read as blocks. \(mapped)")
    private var readTime = MetricFamily(
        "iopmem_namespace_read_time_seconds_total", .counter, "Time that block reads took.")
    private var writes = MetricFamily(
        "iopmem_namespace_writes_completed_total", .counter, "Block writes. \(mapped)")
    private var writtenBytes = MetricFamily(
        "iopmem_namespace_written_bytes_total", .counter, "Bytes written as blocks. \(mapped)")
    private var writeTime = MetricFamily(
        "iopmem_namespace_write_time_seconds_total", .counter, "Time that block writes took.")

    var families: [MetricFamily] {
        [reads, readBytes, readTime, writes, writtenBytes, writeTime]
    }

    mutating func add(_ namespace: Namespace, _ root: SystemRoot) {
        let text = root.optionalText("/sys/block/\(namespace.dev)/stat") ?? ""
        let fields = text.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
        guard fields.count >= 8 else { return }
        let labels = namespace.metricLabels
        reads.add(fields[0], labels)
        // Sectors are of 512 bytes whatever the disk's are.
        readBytes.add(fields[2] * 512, labels)
        readTime.add(milliseconds: fields[3], labels)
        writes.add(fields[4], labels)
        writtenBytes.add(fields[6] * 512, labels)
        writeTime.add(milliseconds: fields[7], labels)
    }
}

extension Namespace {
    /// The UUID stays when the kernel's name changes.
    fileprivate var metricLabels: [(name: String, value: String)] {
        [("namespace", dev), ("uuid", "\(uuid)")]
    }
}
