// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import SystemPackage
import Testing

/// Binding a function to iopmem on a simulated machine.
@Suite("Bind")
struct BindTests {
    let card = "0000:00:10.0"
    let drive = "0000:00:12.0"

    @Test("a free card is bound in the order that the ABI wants")
    func order() throws {
        let host = try SimulatedHost()
        let device = try operation(host).bind(BindRequest(address: try address(card)))
        #expect(device.isBound)
        #expect(device.bars.last?.region == "iopmem0")
        #expect(
            host.acts == [
                "modprobe iopmem", "open control", "ask for the version", "prepare", "watch",
                "write iopmem to /sys/bus/pci/devices/\(card)/driver_override",
                "write \(card) to /sys/bus/pci/drivers_probe", "ask for the result",
                "wait for new iopmem iopmem0",
                "open iopmem0", "read 4096 at 0", "read 4096 at 2093056",
            ])
        #expect(host.openNodes == 0)
        #expect(
            host.preparation
                == BindPreparation(
                    function: FunctionNumber(domain: 0, bus: 0, devfn: 0x80), barMask: 0xff,
                    media: 0, force: false))
    }

    @Test("options reach the driver")
    func options() throws {
        let host = try SimulatedHost()
        _ = try operation(host).bind(
            BindRequest(address: try address(card), bar: 2, media: "persistent", force: true))
        #expect(host.preparation?.barMask == 1 << 2)
        #expect(host.preparation?.media == 1)
        #expect(host.preparation?.force == true)
    }

    @Test("a function that is bound already is left alone, with success")
    func twice() throws {
        let host = try SimulatedHost()
        try host.bindToIopmem(card)
        #expect(try operation(host).bind(BindRequest(address: try address(card))).isBound)
        #expect(host.acts.isEmpty)
    }

    @Test("a bound function without the wanted BAR as a region is an error")
    func otherBar() throws {
        let host = try SimulatedHost()
        try host.bindToIopmem(card)
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card), bar: 0))
        }
        #expect(error?.exitStatus == 1)
    }

    @Test("a dry run says what it would do and does nothing")
    func dryRun() throws {
        let host = try SimulatedHost()
        let listener = RecordingListener()
        _ = try Operation(on: host, telling: listener)
            .bind(BindRequest(address: try address(card), dryRun: true))
        #expect(host.acts.isEmpty)
        #expect(listener.notes == ["would bind 0000:00:10.0 to iopmem with BAR 2 (256 MiB)"])
    }

    @Test("a drive with a mounted partition is busy, though it could not be bound anyway")
    func mountedDrive() throws {
        let host = try SimulatedHost()
        try host.tree.write(
            "36 35 259:0 / /data rw - ext4 /dev/nvme0n1 rw", to: "/proc/self/mountinfo")
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(drive), force: true))
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("nvme0n1 is mounted on /data") == true)
        #expect(host.acts.isEmpty)
    }

    @Test("a drive that a program has claimed is busy, and the program named")
    func claimedDrive() throws {
        let host = try SimulatedHost()
        host.claimedNodes = ["/dev/nvme0n1"]
        let number = try #require(DeviceNumber(try host.root.text("/sys/class/block/nvme0n1/dev")))
        host.processAnswers = [[ProcessHolder(pid: 9, name: "mdadm", device: number)], []]
        let request = BindRequest(address: try address(drive), force: true)
        let named = #expect(throws: IopmemError.self) { try operation(host).bind(request) }
        #expect(named?.exitStatus == 4)
        #expect(named?.message.contains("nvme0n1 is open in mdadm (pid 9)") == true)
        let unseen = #expect(throws: IopmemError.self) { try operation(host).bind(request) }
        #expect(unseen?.message.contains("nvme0n1 is held by somebody") == true)
    }

    @Test("a network card whose interface is up is busy")
    func network() throws {
        let host = try SimulatedHost()
        try host.bind(card, to: "net")
        let device = "/sys/devices/pci0000:00/\(card)/net/eth9"
        try host.tree.write("0x1003", to: "\(device)/flags")
        try host.tree.link("/sys/class/net/eth9", to: "../../devices/pci0000:00/\(card)/net/eth9")
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card), force: true))
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("eth9 is up") == true)
        try host.tree.write("0x1002", to: "\(device)/flags")
        #expect(
            try operation(host).bind(BindRequest(address: try address(card), force: true)).isBound)
    }

    @Test("an unused drive has no BAR to offer: exit 6, with the reason of each")
    func ineligible() throws {
        let host = try SimulatedHost()
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(drive), force: true))
        }
        #expect(error?.exitStatus == 6)
        #expect(error?.message.contains("BAR 0 too small: 16384 bytes") == true)
        #expect(host.acts.isEmpty)
    }

    @Test("another driver is in the way unless forced")
    func otherDriver() throws {
        let host = try SimulatedHost()
        try host.bind(card, to: "vendor")
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card)))
        }
        #expect(error?.exitStatus == 4)
        #expect(error?.message.contains("vendor") == true)
        #expect(host.acts.isEmpty)
        #expect(
            try operation(host).bind(BindRequest(address: try address(card), force: true)).isBound)
    }

    @Test("only root may: exit 5, and nothing was touched")
    func unprivileged() throws {
        let host = try SimulatedHost()
        host.isPrivileged = false
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card)))
        }
        #expect(error?.exitStatus == 5)
        #expect(host.acts.isEmpty)
    }

    @Test("a driver of another ABI is refused by name, and the module unloaded again")
    func otherABI() throws {
        let host = try SimulatedHost()
        host.version.abi = 2
        let before = try host.tree.snapshot()
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card)))
        }
        #expect(error?.code == .abiMismatch)
        #expect(error?.message.contains("ABI 2") == true)
        #expect(try host.tree.snapshot() == before)
    }

    @Test("without the module: exit 6 with modprobe's words")
    func noModule() throws {
        let host = try SimulatedHost()
        host.hasModule = false
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card)))
        }
        #expect(error?.exitStatus == 6)
        #expect(error?.message == "cannot load the module iopmem: not found")
    }

    @Test("the driver's refusal is told in its own words, and the old driver is back")
    func refusedProbe() throws {
        let host = try SimulatedHost()
        try host.bind(card, to: "vendor")
        var bars = Array(
            repeating: BarVerdict(error: .noSuchAddressOrDevice, region: nil, reason: ""), count: 6)
        bars[2] = BarVerdict(
            error: .resourceBusy, region: nil, reason: "somebody else has claimed it")
        host.probeRefusal = BindResult(
            error: .noSuchAddressOrDevice, reason: "no BAR of \(card) can be a region", bars: bars)
        let before = try host.tree.snapshot()
        let error = #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card), force: true))
        }
        #expect(error?.exitStatus == 6)
        #expect(error?.message.contains("BAR 2 somebody else has claimed it") == true)
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
    }

    @Test("an address that the driver cannot map comes with what makes room for it")
    func refusedAddress() throws {
        let host = try SimulatedHost()
        func remedy(_ error: Errno) throws -> String? {
            host.probeRefusal = BindResult(
                error: .noSuchAddressOrDevice, reason: "no BAR of \(card) can be a region",
                bars: [BarVerdict(error: error, region: nil, reason: "it is so")])
            let request = BindRequest(address: try address(card))
            return #expect(throws: IopmemError.self) { try operation(host).bind(request) }?.remedy
        }
        #expect(try remedy(.outOfRange)?.contains("nokaslr") == true)
        #expect(try remedy(.resourceBusy)?.contains("nokaslr") == false)
    }

    @Test("whichever step fails, the machine is as it was", arguments: 0..<10)
    func everyStep(step: Int) throws {
        let host = try SimulatedHost()
        try prepareForced(host)
        let before = try host.tree.snapshot()
        host.failingAct = step
        #expect(throws: IopmemError.self) { try forcedBind(host) }
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
    }

    @Test("the steps above are all there are")
    func numberOfSteps() throws {
        let host = try SimulatedHost()
        try prepareForced(host)
        _ = try forcedBind(host)
        // And a look at the labels, which is no reason to fail.
        #expect(
            host.acts.dropFirst(10) == ["open iopmem0", "read 4096 at 0", "read 4096 at 2093056"])
    }

    @Test(
        "labels that cannot be looked at do not keep a device from being bound", arguments: 10..<13)
    func labelsUnreadable(step: Int) throws {
        let host = try SimulatedHost()
        try prepareForced(host)
        host.failingAct = step
        #expect(try forcedBind(host).isBound)
        #expect(host.openNodes == 0)
    }

    @Test(
        "after Ctrl-C at any step the machine is as it was, and the status 130", arguments: 0..<10)
    func interrupted(step: Int) throws {
        let host = try SimulatedHost()
        try prepareForced(host)
        let before = try host.tree.snapshot()
        host.signalAfterAct = step
        let error = #expect(throws: IopmemError.self) { try forcedBind(host) }
        #expect(error?.exitStatus == 130)
        #expect(try host.tree.snapshot() == before)
        #expect(host.openNodes == 0)
    }

    @Test("an override that stood there before is restored")
    func oldOverride() throws {
        let host = try SimulatedHost()
        let path = "/sys/devices/pci0000:00/\(card)/driver_override"
        try host.tree.write("vfio-pci", to: path)
        host.failingAct = 7
        #expect(throws: IopmemError.self) {
            try operation(host).bind(BindRequest(address: try address(card)))
        }
        #expect(try host.root.text(path) == "vfio-pci")
    }

    @Test("an old driver that does not come back is told, with the way to do it by hand")
    func lostDriver() throws {
        let host = try SimulatedHost()
        try prepareForced(host)
        host.ordinaryDrivers = [:]
        host.failingAct = 8
        let error = #expect(throws: IopmemError.self) { try forcedBind(host) }
        #expect(error?.message.contains("vendor did not take 0000:00:10.0 back") == true)
        #expect(error?.remedy?.contains("/sys/bus/pci/drivers/vendor/bind") == true)
    }

    /// A card with another driver, so that every step is needed.
    private func prepareForced(_ host: SimulatedHost) throws {
        try host.bind(card, to: "vendor")
    }

    private func forcedBind(_ host: SimulatedHost) throws -> Device {
        try operation(host).bind(BindRequest(address: try address(card), force: true))
    }
}

/// Operations on a simulated machine that nobody listens to.
func operation(_ host: SimulatedHost) -> Operation {
    Operation(on: host, telling: RecordingListener(), patience: .zero)
}

/// Keeps what it is told.
final class RecordingListener: Listener {
    private(set) var steps: [String] = []
    private(set) var notes: [String] = []
    private(set) var warnings: [String] = []
    /// Steps with bytes, and how many of how many were done.
    private(set) var progress: [String] = []

    func step(_ text: @autoclosure () -> String) { steps.append(text()) }
    func note(_ text: String) { notes.append(text) }
    func warn(_ text: String) { warnings.append(text) }
    func follow(_ step: String, bytes: UInt64) -> StepProgress {
        StepProgress(
            update: { self.progress.append("\(step): \($0) of \(bytes)") },
            end: { self.progress.append("\(step): over") })
    }
}
