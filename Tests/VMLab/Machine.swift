// SPDX-License-Identifier: GPL-2.0

import Glibc
import Synchronization
import SystemPackage

/// A running virtual machine.
public final class Machine: Sendable {
    /// The system in it.
    public let guest: Guest
    /// QEMU itself: plugging and unplugging.
    public let qmp: QMP
    /// What it is made of.
    public let topology: Topology
    /// The files behind its devices.
    public let storage: Storage
    /// The exact kernel that it runs.
    public let kernel: KernelPackages
    let symbols: FilePath

    private let folder: FilePath
    private let process: MachineProcess
    private let currentStep = Mutex<String?>(nil)

    private init(
        guest: Guest, qmp: QMP, topology: Topology, storage: Storage,
        bootable: Preparation.Bootable,
        folder: FilePath, process: MachineProcess
    ) {
        self.guest = guest
        self.qmp = qmp
        self.topology = topology
        self.storage = storage
        kernel = bootable.packages
        symbols = bootable.symbols
        self.folder = folder
        self.process = process
    }

    /// Boots a machine, lets `body` act on it, and judges its kernel log.
    ///
    /// - Parameters:
    ///   - name: Names the scenario in what is kept of a failure.
    ///   - expecting: Reports in the kernel log that this scenario provokes; each must come.
    ///   - storage: Files of an earlier machine to power on again with; nil for new ones.
    ///   - body: What happens while the machine is on.
    public static func run<Result: Sendable>(
        _ topology: Topology, kernel: Kernel, name: String, expecting: [String] = [],
        preparation: Preparation = Preparation(), storage: Storage? = nil,
        _ body: (Machine) async throws -> Result
    ) async throws -> Result {
        let bootable = try await preparation.bootable(kernel)
        await slots.take()
        defer { slots.give() }
        let record = "\(name)-\(kernel.series)"
        let folder = Layout.cache.appending("run").appending(
            "\(record)-\(getpid())-\(nextNumber())")
        try Files.makeDirectory(folder)
        let storage = storage ?? Storage(folder: folder)
        let start = ContinuousClock.now
        do {
            try await storage.prepare(topology)
            try await bootable.system?.prepare(storage)
            let (machine, process) = try await boot(
                bootable, topology, storage, folder, series: kernel.series)
            do {
                let booted = ContinuousClock.now
                let result = try await body(machine)
                try await machine.finish(on: kernel, expecting: expecting)
                Files.discard(folder)
                // Where the time of a run goes: emulation is slow, and there is little of it.
                Progress.say(
                    "[\(kernel.series)] \(name): booted in \(seconds(start, booted)) s, "
                        + "off \(seconds(booted, .now)) s later")
                return result
            } catch {
                let step = machine.currentStep.withLock { $0 }
                let log = await machine.logAfterFailure()
                await process.kill()
                throw LabError(
                    "Linux \(kernel.series)\(step.map { ", step “\($0)”" } ?? "")",
                    evidence: "\(error)"
                        + (log.isEmpty ? "" : "\nkernel log:\n" + log.joined(separator: "\n")))
            }
        } catch let error {
            let kept = keep(folder, as: record)
            throw LabError(
                "\(error)", remedy: "console, QEMU command and NVMe trace are in \(kept)")
        }
    }

    private static func seconds(
        _ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant
    ) -> Int64 {
        (end - start).components.seconds
    }

    /// Boots, up to three times: an emulator on a busy host loses a kernel now and then, long before
    /// anything of ours runs in it. Each failure is told.
    private static func boot(
        _ bootable: Preparation.Bootable, _ topology: Topology, _ storage: Storage,
        _ folder: FilePath, series: String
    ) async throws -> (Machine, MachineProcess) {
        var attempt = 1
        while true {
            let process = try MachineProcess(
                bootable: bootable, topology: topology, storage: storage, folder: folder)
            do {
                let machine = try await process.boot { guest, qmp in
                    Machine(
                        guest: guest, qmp: qmp, topology: topology, storage: storage,
                        bootable: bootable, folder: folder, process: process)
                }
                if topology.runsInParallel {
                    try await machine.guest.run(
                        "for one in /sys/devices/system/cpu/cpu*/online; do echo 1 >$one; done")
                }
                return (machine, process)
            } catch {
                await process.kill()
                guard attempt < 3, let error = error as? LabError else { throw error }
                Progress.say("[\(series)] booting again, since \(error.message)")
                attempt += 1
            }
        }
    }

    /// Names what is being done, for people who watch and for errors.
    @discardableResult
    public func step<Result>(_ text: String, _ body: () async throws -> Result) async throws
        -> Result
    {
        Progress.say("[\(kernel.series)] \(text)")
        currentStep.withLock { $0 = text }
        let result = try await body()
        currentStep.withLock { $0 = nil }
        return result
    }

    /// Where a device is in the guest, asked of QEMU.
    public func function(_ name: String) async throws -> PCIFunction {
        let functions = try await qmp.functions()
        if let function = functions.first(where: { $0.name == name }) { return function }
        throw LabError(
            "the machine has no device \(name)",
            evidence: functions.map { "\($0.name) \($0.address)" }.joined(separator: "\n"))
    }

    /// What the NVMe controllers did while a script ran in the guest, and nothing else of what they
    /// did: udev, which reads the partition table of a drive that somebody has written to, is stopped
    /// meanwhile. (Stopping its queue is not enough: its main process does that by itself.)
    public func transfer(_ script: String, within seconds: Int = 120) async throws -> NVMeTrace {
        try await guest.run("udevadm settle && pkill -STOP -x systemd-udevd && sync")
        // QEMU writes its record line by line, before a command completes.
        let file = folder.appending("nvme.trace")
        let before = try Files.read(file).count
        try await guest.run(script, within: seconds)
        let record = try Files.read(file).dropFirst(before)
        try await guest.run("pkill -CONT -x systemd-udevd && udevadm settle")
        return NVMeTrace(
            String(decoding: record, as: UTF8.self), isTranslated: topology.translatesDMA)
    }

    /// Cuts the power: QEMU is killed at once. The storage stays as it is at that moment.
    public func cutPower() async {
        await process.kill()
    }

    /// The guest's console for people.
    func consoleDescriptor() throws -> FileDescriptor {
        try process.connectConsole()
    }

    /// QEMU's process, and the far end of the guest's clock.
    func clockParts() throws -> (process: pid_t, port: FileDescriptor) {
        guard let identifier = process.identifier else {
            throw LabError("QEMU's process number is not known")
        }
        return (identifier, try process.connectClock())
    }

    /// Everything that the kernel and QEMU have said so far.
    public func console() throws -> String {
        try Files.text(folder.appending("console.log"))
    }

    /// QEMU's own record of what it was asked to record.
    func trace() throws -> String {
        try Files.text(folder.appending("nvme.trace"))
    }

    private func finish(on kernel: Kernel, expecting announced: [String]) async throws {
        var log = ""
        if process.isRunning {
            if kernel.looksForBugs { try await findLeaks() }
            log = try await guest.run("dmesg --raw", within: 60).output
            guest.hangUp()
            guard await process.ended(within: 60 * kernel.slowness) else {
                await process.kill()
                throw LabError(
                    "the machine did not power off", evidence: try console().lastLines(15))
            }
        }
        // The console has what came before the ring buffer and after it; dmesg has lines unbroken.
        let whole = try console() + "\n" + log
        let findings = KernelLog.findings(in: whole, expecting: announced)
        if !findings.isEmpty {
            throw LabError(
                "the kernel log is not as announced", evidence: findings.joined(separator: "\n"))
        }
    }

    private func logAfterFailure() async -> [String] {
        if process.isRunning, let outcome = try? await guest.run("dmesg", status: nil, within: 20) {
            try? Files.write(outcome.outputBytes, to: folder.appending("dmesg.log"))
        }
        return (try? console()).map { Array(KernelLog.reports(in: $0).prefix(20)) } ?? []
    }

    // MARK: - Records

    private static let counter = Atomic(0)

    private static func nextNumber() -> Int {
        counter.add(1, ordering: .relaxed).newValue
    }

    /// Moves the small files of a failed run to where people look.
    private static func keep(_ folder: FilePath, as record: String) -> FilePath {
        let target = Layout.failures.appending(record)
        try? Files.makeDirectory(target)
        for name in Files.names(in: folder)
        where !name.hasSuffix(".img") && !name.hasSuffix(".memory") && name != "boot"
            && !name.hasSuffix(".qcow2")
        {
            try? Files.rename(folder.appending(name), to: target.appending(name))
        }
        Files.discard(folder)
        return target
    }

    // MARK: - Slots

    /// How many machines run at once in this process: one that is emulated keeps a processor busy,
    /// and rarely more than one.
    private static let slots = Slots(count: 2)

    /// Lets another machine run while this one does nothing but wait, for a minute and more.
    public func idling<Result>(_ body: () async throws -> Result) async throws -> Result {
        Self.slots.give()
        do {
            let result = try await body()
            await Self.slots.takeNext()
            return result
        } catch {
            await Self.slots.takeNext()
            throw error
        }
    }
}

/// Lets a few in at a time, in the order of their coming.
final class Slots: Sendable {
    private let state: Mutex<(free: Int, waiting: [CheckedContinuation<Void, Never>])>

    init(count: Int) {
        state = Mutex((count, []))
    }

    func take() async {
        await take { $0.append($1) }
    }

    /// Before all who wait already.
    func takeNext() async {
        await take { $0.insert($1, at: 0) }
    }

    private func take(
        _ wait: (inout [CheckedContinuation<Void, Never>], CheckedContinuation<Void, Never>) -> Void
    ) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                wait(&state.waiting, continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    func give() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiting.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
