// SPDX-License-Identifier: GPL-2.0

import Glibc
import Subprocess
import Synchronization
import SystemPackage

/// QEMU below virtme-ng: starts it, keeps its console, knows when it ends.
final class MachineProcess: Sendable {
    private let bootable: Preparation.Bootable
    private let topology: Topology
    private let storage: Storage
    private let folder: FilePath
    private let program: FilePath
    private let arguments: [String]
    /// A folder with a short path, since a socket's path has little room.
    private let sockets: FilePath
    private let state = Mutex(State())
    /// Readable once QEMU has ended: its write end is closed then.
    private let ended: (read: FileDescriptor, write: FileDescriptor)

    private struct State {
        var running: Task<Void, Never>?
        var hasEnded = false
    }

    /// Drivers of emulated parts that no scenario uses: loading them takes longer than all the rest.
    private static let needlessModules = [
        "ahci", "sr_mod", "i2c_i801", "lpc_ich", "iTCO_wdt", "i6300esb", "pcspkr", "psmouse",
        "evdev",
        "button", "kvm_amd", "kvm_intel", "ccp", "powernow_k8", "acpi_cpufreq", "aesni_intel",
        "ghash_clmulni_intel", "crct10dif_pclmul", "crc32_pclmul", "polyval_clmulni", "sha1_ssse3",
        "sha256_ssse3", "sha512_ssse3", "intel_rapl_msr", "rapl", "amd_energy", "edac_mce_amd",
    ]

    /// How long virtme-ng may take until QEMU is there: it makes an initramfs first.
    private static let startSeconds: Int32 = 120

    /// How long booting may take: an emulated processor on a busy host is slow.
    private var bootSeconds: Int { 240 * bootable.kernel.slowness }

    init(bootable: Preparation.Bootable, topology: Topology, storage: Storage, folder: FilePath)
        throws
    {
        self.bootable = bootable
        self.topology = topology
        self.storage = storage
        self.folder = folder
        var template = Array("/tmp/iopmem-lab-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw LabError("cannot make a folder in /tmp: \(Errno(rawValue: errno))")
        }
        let path = template.dropLast().map { UInt8(bitPattern: $0) }
        sockets = FilePath(String(decoding: path, as: UTF8.self))
        let pipe = try FileDescriptor.pipe()
        ended = (pipe.readEnd, pipe.writeEnd)
        for end in [pipe.readEnd, pipe.writeEnd] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
        let machine = Self.machine(topology, storage: storage, folder: folder, sockets: sockets)
        if let system = bootable.system {
            program = "/usr/bin/qemu-system-x86_64"
            arguments =
                system.arguments(
                    storage, memory: topology.memory, processors: topology.processors,
                    options: Self.options(bootable.kernel, topology)) + machine
        } else {
            program = Layout.virtme.appending("bin/python3")
            // virtme-ng learns from the compressed image what kernel it is; of two QEMU boots the last.
            let image = bootable.plainImage.map { ["-kernel", $0.string] } ?? []
            arguments =
                Self.arguments(bootable, topology) + (machine + image).map { "--qemu-opt=\($0)" }
        }
    }

    deinit {
        try? ended.read.close()
        rmdir(sockets.string)
    }

    /// For virtme-ng: a snapshot of this machine's own system.
    private static func arguments(
        _ bootable: Preparation.Bootable, _ topology: Topology
    ) -> [String] {
        let agent = Layout.tools.appending("iopmem-agent")
        var arguments = [
            Layout.repository.appending("Tests/VMLab/boot.py").string,
            "--kimg", bootable.image.string, "--mods=auto", "--disable-kvm", "--force-9p",
            "--memory", "\(bootable.kernel.memory(wanted: topology.memory))M",
            "--cpus", "\(topology.processors)", "--cwd", "/",
            "--script-sh", "exec '\(agent)' '\(Layout.tools)'", "--show-boot-console",
            "--verbose",
        ]
        for overlay in ["/etc", "/lib", "/home", "/opt", "/srv", "/usr", "/var", "/tmp"] {
            arguments += ["--overlay-rwdir", overlay]
        }
        // The kernel hands what it does not know to its first process as environment, and
        // virtme-ng's init looks for its helpers there before anywhere else.
        let helpers = Layout.repository.appending("Tests/VMLab/coldplug")
        let path = "PATH=\(helpers):/usr/sbin:/usr/bin:/sbin:/bin"
        for option in options(bootable.kernel, topology) + [path] {
            arguments += ["--kopt", option]
        }
        return arguments
    }

    /// For the kernel's command line. Programs and libraries are where they were the last time:
    /// QEMU's translation of their code is by address, and to make it anew for each program that starts
    /// takes three quarters of all time.
    private static func options(_ kernel: Kernel, _ topology: Topology) -> [String] {
        [
            "norandmaps",
            "modprobe.blacklist=\(needlessModules.joined(separator: ","))",
            "mitigations=off", "audit=0", "log_buf_len=4M", "hung_task_panic=0",
            "sysctl.kernel.hung_task_timeout_secs=\(60 * kernel.slowness)",
            // Until its first process runs: a busy host keeps an emulated processor waiting, and when
            // the clock changes to the TSC, all of that time passes at once.
            "rcupdate.rcu_cpu_stall_suppress_at_boot=1",
        ] + kernel.arguments + topology.allKernelArguments
    }

    /// What every machine has, and its topology.
    private static func machine(
        _ topology: Topology, storage: Storage, folder: FilePath, sockets: FilePath
    ) -> [String] {
        var machine = [
            "-nodefaults",
            "-accel", "tcg,thread=\(topology.runsInParallel ? "multi" : "single")",
            // Each of its sixty queues would be a file that QEMU's main loop polls in every round.
            // Without, a guest's write also returns once the line is in the file, not before: see
            // Topology.hasLedger.
            "-global", "virtio-serial-pci.ioeventfd=off",
            "-chardev", "socket,id=iopmem-agent,path=\(sockets)/agent",
            "-device", "virtio-serial-pci,id=iopmem-serial",
            "-device",
            "virtserialport,bus=iopmem-serial.0,chardev=iopmem-agent,name=iopmem.agent",
            // The last one, since virtme-ng has ports before it; a terminal for people.
            "-chardev", "socket,id=iopmem-console,path=\(sockets)/console,server=on,wait=off",
            "-device", "virtconsole,bus=iopmem-serial.0,chardev=iopmem-console",
            "-chardev", "socket,id=iopmem-qmp,path=\(sockets)/qmp",
            "-mon", "chardev=iopmem-qmp,mode=control",
            "-pidfile", "\(folder)/qemu.pid", "-D", "\(folder)/nvme.trace",
        ]
        if topology.hasClock {
            machine += [
                "-chardev", "socket,id=iopmem-clock,path=\(sockets)/clock,server=on,wait=off",
                "-device",
                "virtserialport,bus=iopmem-serial.0,chardev=iopmem-clock,name=iopmem.clock",
            ]
        }
        for event in NVMeTrace.events { machine += ["-trace", event] }
        return machine + topology.arguments(storage: storage)
    }

    /// Starts it and waits until the agent in the guest answers.
    func boot(_ assemble: (Guest, QMP) -> Machine) async throws -> Machine {
        let quoted = arguments.map { "'\($0.replacing("'", with: "'\\''"))'" }
        try Files.write(
            "\(program) \(quoted.joined(separator: " "))\n",
            to: folder.appending("command.sh"))
        try Files.write([], to: folder.appending("nvme.trace"))
        let agent = try Listener(path: sockets.appending("agent"))
        let control = try Listener(path: sockets.appending("qmp"))
        try start()
        guard let agentEnd = try await accept(agent), let controlEnd = try await accept(control)
        else {
            throw failure("QEMU did not start")
        }
        let stream = ByteStream(agentEnd)
        guard
            let qmp = try? await QMP(
                ByteStream(controlEnd), slowness: bootable.kernel.slowness)
        else {
            throw failure("QEMU ended at once")
        }
        let alarm = Task {
            for _ in 0..<bootSeconds {
                try await Task.sleep(for: .seconds(1))
                if hasPanicked { break }
            }
            stream.close()
        }
        defer { alarm.cancel() }
        guard let guest = try await Guest.greet(stream, slowness: bootable.kernel.slowness)
        else {
            throw failure(
                hasPanicked
                    ? "the kernel panicked while it booted"
                    : isRunning
                        ? "the guest did not come up within \(bootSeconds) s"
                        : "the machine ended while it booted")
        }
        return assemble(guest, qmp)
    }

    /// Waits on a thread of its own: two machines that waited on the tasks' threads left none, on
    /// two processors, for the tasks that start QEMU.
    private func accept(_ listener: Listener) async throws -> FileDescriptor? {
        let end = ended.read
        return try await onThread {
            listener.accept(unless: end, within: Self.startSeconds * 1000)
        }
    }

    private var hasPanicked: Bool {
        let console = (try? Files.text(folder.appending("console.log"))) ?? ""
        return console.contains("Kernel panic - not syncing")
    }

    private func failure(_ message: String) -> LabError {
        let console = (try? Files.text(folder.appending("console.log"))) ?? ""
        return LabError(message, evidence: console.lastLines(30))
    }

    /// The console is a pipe, since QEMU and the kernel write to it through several openings.
    private func start() throws {
        let pipe = try FileDescriptor.pipe()
        _ = fcntl(pipe.readEnd.rawValue, F_SETFD, FD_CLOEXEC)
        let log = try FileDescriptor.open(
            folder.appending("console.log"), .writeOnly,
            options: [.create, .truncate, .closeOnExec],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        let console = pipe.readEnd
        detach {
            var chunk = [UInt8](repeating: 0, count: 1 << 14)
            while let count = try? chunk.withUnsafeMutableBytes({ try console.read(into: $0) }),
                count > 0
            {
                // A serial line ends its lines with two characters; a log with one.
                _ = try? log.writeAll(chunk[..<count].filter { $0 != 0x0d })
                // QEMU writes each character as it comes. The pipe has room for all that a serial
                // line sends in this time, and for a hundred times more.
                usleep(50_000)
            }
            try? log.close()
            try? console.close()
        }
        let tools = "\(Layout.virtme.appending("bin")):/usr/sbin:/usr/bin:/sbin:/bin"
        let task = Task { [program, arguments] in
            _ = try? await Subprocess.run(
                .path(program), arguments: Arguments(arguments),
                environment: .inherit.updating(["PATH": tools]),
                input: .none, output: .discarded,
                error: .fileDescriptor(pipe.writeEnd, closeAfterSpawningProcess: true))
            state.withLock { $0.hasEnded = true }
            try? ended.write.close()
        }
        state.withLock { $0.running = task }
    }

    /// The other end of the guest's console for people.
    func connectConsole() throws -> FileDescriptor {
        try connectSocket(sockets.appending("console"))
    }

    /// The other end of the guest's port for its clock.
    func connectClock() throws -> FileDescriptor {
        try connectSocket(sockets.appending("clock"))
    }

    /// QEMU's process number.
    var identifier: pid_t? {
        (try? Files.text(folder.appending("qemu.pid"))).flatMap { pid_t($0.filter(\.isNumber)) }
    }

    /// Whether QEMU is there.
    var isRunning: Bool { state.withLock { $0.running != nil && !$0.hasEnded } }

    /// Waits for the end; false when the deadline passes first.
    func ended(within seconds: Int) async -> Bool {
        guard isRunning else { return true }
        let end = ended.read.rawValue
        let ready = try? await onThread {
            var wait = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
            return poll(&wait, 1, Int32(seconds) * 1000)
        }
        return (ready ?? 0) > 0
    }

    /// Ends QEMU at once, whatever it is doing, and waits until it is gone.
    func kill() async {
        if isRunning, let identifier { Glibc.kill(identifier, SIGKILL) }
        let task = state.withLock { $0.running }
        task?.cancel()
        await task?.value
    }
}
