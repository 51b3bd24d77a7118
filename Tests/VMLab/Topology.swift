// SPDX-License-Identifier: GPL-2.0

/// What a machine consists of, besides processors and RAM.
///
///     Topology(
///         .switch("sw0", .card("card0", megabytes: 256), .nvme("nvme0")),
///         .card("card1", megabytes: 64))
public struct Topology: Sendable {
    /// Devices on the root complex, in order of their slots.
    public var nodes: [Node]
    /// A translating Intel IOMMU between devices and RAM.
    public var translatesDMA = false
    /// QEMU's name of the processor model.
    public var processor = "max"
    /// How many processors.
    public var processors = 2
    /// Each processor in a thread of its own, which is what one wants to see two of them work at once.
    /// All but the first start when the machine has booted: a kernel that patches its own code until
    /// then would crash once in a while, because QEMU lets another processor run into half of a change.
    public var runsInParallel = false
    /// MiB of RAM.
    public var memory = 2048
    /// Whether cards and NVDIMMs keep their contents in files. Those of a machine for measurements do
    /// not: the host writes files back in the background, and each page is slow at the next write.
    public var keepsContents = true
    /// A port, `/dev/virtio-ports/iopmem.clock`, for ``Machine/serveClock()``.
    public var hasClock = false
    /// A port, `/dev/virtio-ports/iopmem.ledger`, whose lines go to ``Storage/ledger``. Each machine
    /// begins a new one.
    public var hasLedger = false
    /// More for the kernel's command line.
    public var kernelArguments: [String] = []

    /// A machine with these devices on its root complex.
    public init(_ nodes: Node...) {
        self.nodes = nodes
    }

    /// The same machine with a translating IOMMU, strict, used for every device.
    public func translatingDMA() -> Topology {
        var copy = self
        copy.translatesDMA = true
        return copy
    }

    /// The same machine with a ledger.
    public func withLedger() -> Topology {
        var copy = self
        copy.hasLedger = true
        return copy
    }

    /// The same machine with another processor model, such as `EPYC`.
    public func onProcessor(_ model: String) -> Topology {
        var copy = self
        copy.processor = model
        return copy
    }

    /// The same machine with more on the kernel's command line.
    public func booted(with argument: String) -> Topology {
        var copy = self
        copy.kernelArguments.append(argument)
        return copy
    }

    /// The same machine for measurements: so many processors, memory that no file is behind, a clock.
    public func measuring(processors: Int) -> Topology {
        var copy = self
        copy.processors = processors
        copy.runsInParallel = processors > 1
        copy.keepsContents = false
        copy.hasClock = true
        copy.kernelArguments.append(Self.trustedClock)
        return copy
    }

    /// A busy host makes the kernel doubt the processor's time stamps and ask a timer device instead,
    /// which costs more than most of what a machine does.
    private static let trustedClock = "tsc=reliable"

    /// The same machine with processors that run at the same time.
    public func inParallel() -> Topology {
        var copy = self
        copy.runsInParallel = true
        copy.kernelArguments.append(Self.trustedClock)
        return copy
    }

    /// One device, or a bridge with devices behind it. Names are QEMU's ids.
    public indirect enum Node: Sendable {
        /// A PCIe memory card: BAR 2 is prefetchable memory, BAR 0 is too small to use.
        case card(String, megabytes: Int)
        /// An NVDIMM, which the kernel's own driver makes /dev/pmemN of; on the root complex only.
        case nvdimm(String, megabytes: Int)
        /// An NVMe drive whose content is known, pseudo-random and the same for every drive.
        case nvme(String)
        /// A root port; a child can be unplugged. `reserve` keeps MiB free for one plugged in later.
        case rootPort(String, reserve: Int, child: Node?)
        /// A switch with a downstream port for each child, behind a root port of its own.
        case switchWith(String, children: [Node])
        /// Functions of one device behind a root port, which is where they meet.
        case functions(String, children: [Node])
        /// A host bridge of its own, with a root port for each child.
        case hostBridge(String, bus: Int, children: [Node])
        /// Two network cards with DMA of their own on one wire; their addresses end in 00 and 01.
        case linked(String, String)
        /// Any other device, in QEMU's own words, such as `pci-testdev,membar=64M`.
        case device(String, model: String)

        /// QEMU's device with a DMA engine, which Tests/importer drives, and with all address bits:
        /// by default it has 28.
        public static func edu(_ name: String) -> Node {
            .device(name, model: "edu,dma_mask=0xffffffffffffffff")
        }

        /// A root port with a device behind it.
        public static func rootPort(_ name: String, _ child: Node) -> Node {
            .rootPort(name, reserve: 0, child: child)
        }

        /// A switch with a downstream port for each child, behind a root port of its own.
        public static func `switch`(_ name: String, _ children: Node...) -> Node {
            .switchWith(name, children: children)
        }
    }

    /// Every device of the machine, whatever it is behind.
    var leaves: [Node] {
        func walk(_ node: Node) -> [Node] {
            switch node {
            case .rootPort(_, _, let child): child.map(walk) ?? []
            case .switchWith(_, let children), .functions(_, let children),
                .hostBridge(_, _, let children):
                children.flatMap(walk)
            case .card, .nvdimm, .nvme, .linked, .device: [node]
            }
        }
        return nodes.flatMap(walk)
    }

    /// MiB of all NVDIMMs.
    private var nvdimmMegabytes: Int {
        nodes.reduce(0) { sum, node in
            if case .nvdimm(_, let megabytes) = node { sum + megabytes } else { sum }
        }
    }

    /// The kernel's command line for this machine, besides what booting needs.
    var allKernelArguments: [String] {
        let translation =
            translatesDMA ? ["intel_iommu=on", "iommu.passthrough=0", "iommu.strict=1"] : []
        // QEMU 7.2 reads a queue's shadow doorbell before it has said up to where it read (hw/nvme,
        // no barrier between the two), and once in some hundred thousand commands misses one. The
        // kernel notices after this many seconds, and sets the drive up anew after as many again.
        let drives = ["nvme_core.io_timeout=10"]
        // One processor would otherwise take the locks out of the kernel's code until others come.
        let processors = runsInParallel ? ["maxcpus=1", "noreplace-smp"] : []
        return drives + translation + processors + kernelArguments
    }

    /// QEMU's arguments for the devices, with their contents in these files.
    func arguments(storage: Storage) -> [String] {
        var builder = ArgumentBuilder(storage: storage, keepsContents: keepsContents)
        if translatesDMA { builder.add("-device", "intel-iommu,intremap=off") }
        builder.add("-cpu", processor)
        if nvdimmMegabytes > 0 {
            builder.add("-machine", "nvdimm=on")
            builder.add("-m", "slots=\(nodes.count),maxmem=\(memory + nvdimmMegabytes + 1024)M")
        }
        if hasLedger {
            builder.add("-chardev", "file,id=iopmem-ledger,path=\(storage.ledger)")
            builder.add(
                "-device",
                "virtserialport,bus=iopmem-serial.0,chardev=iopmem-ledger,name=iopmem.ledger")
        }
        // Slots below 16 are left to what virtme-ng adds.
        for (index, node) in nodes.enumerated() {
            builder.place(node, at: "bus=pcie.0,addr=\(String(16 + index, radix: 16))")
        }
        return builder.arguments
    }
}

/// Turns nodes into QEMU's arguments, giving each port its chassis number.
private struct ArgumentBuilder {
    let storage: Storage
    let keepsContents: Bool
    var arguments: [String] = []
    private var ports = 0

    init(storage: Storage, keepsContents: Bool) {
        self.storage = storage
        self.keepsContents = keepsContents
    }

    mutating func add(_ option: String, _ value: String) {
        arguments += [option, value]
    }

    mutating func place(_ node: Topology.Node, at place: String) {
        switch node {
        case .card(let name, let megabytes):
            addMemory(name, megabytes)
            add("-device", "ivshmem-plain,id=\(name),memdev=\(name)-memory,\(place)")
        case .nvdimm(let name, let megabytes):
            addMemory(name, megabytes)
            add("-device", "nvdimm,id=\(name),memdev=\(name)-memory")
        case .nvme(let name):
            add("-drive", "id=\(name)-file,if=none,format=raw,file=\(storage.drive(name))")
            add("-device", "nvme,id=\(name),serial=\(name),drive=\(name)-file,\(place)")
        case .linked(let one, let other):
            // Two functions of one device.
            let spot = place.contains("addr=") ? place + "." : place + ",addr=0."
            for (index, name) in [one, other].enumerated() {
                let address = "52:54:00:10:00:0\(index)"
                add("-netdev", "hubport,id=\(name)-wire,hubid=0")
                add(
                    "-device",
                    "e1000e,id=\(name),netdev=\(name)-wire,mac=\(address),multifunction=on,"
                        + "\(spot)\(index)")
            }
        case .device(let name, let model):
            add("-device", "\(model),id=\(name),\(place)")
        case .rootPort(let name, let reserve, let child):
            let room = reserve > 0 ? ",pref64-reserve=\(reserve)M" : ""
            add("-device", "pcie-root-port,id=\(name),\(nextPort()),\(place)\(room)")
            if let child { self.place(child, at: "bus=\(name)") }
        case .functions(let name, let children):
            self.place(functions: children, of: name, at: place)
        case .hostBridge(let name, let bus, let children):
            self.place(hostBridge: name, bus: bus, children)
        case .switchWith(let name, let children):
            add("-device", "pcie-root-port,id=\(name)-root,\(nextPort()),\(place)")
            add("-device", "x3130-upstream,id=\(name),bus=\(name)-root")
            for (index, child) in children.enumerated() {
                let port = "\(name)-port\(index)"
                add("-device", "xio3130-downstream,id=\(port),bus=\(name),\(nextPort())")
                self.place(child, at: "bus=\(port)")
            }
        }
    }

    private mutating func place(
        functions children: [Topology.Node], of name: String, at place: String
    ) {
        add("-device", "pcie-root-port,id=\(name),\(nextPort()),\(place)")
        for (index, child) in children.enumerated() {
            self.place(child, at: "bus=\(name),addr=0.\(index),multifunction=on")
        }
    }

    private mutating func place(hostBridge name: String, bus: Int, _ children: [Topology.Node]) {
        add("-device", "pxb-pcie,id=\(name),bus_nr=\(bus),bus=pcie.0")
        for (index, child) in children.enumerated() {
            let port = "\(name)-port\(index)"
            add("-device", "pcie-root-port,id=\(port),\(nextPort()),bus=\(name)")
            place(child, at: "bus=\(port)")
        }
    }

    /// The memory behind a device.
    private mutating func addMemory(_ name: String, _ megabytes: Int) {
        let backend =
            keepsContents
            ? "memory-backend-file,share=on,mem-path=\(storage.card(name))" : "memory-backend-ram"
        add("-object", "\(backend),id=\(name)-memory,size=\(megabytes)M")
    }

    private mutating func nextPort() -> String {
        ports += 1
        return "chassis=\(ports),slot=\(ports)"
    }
}
