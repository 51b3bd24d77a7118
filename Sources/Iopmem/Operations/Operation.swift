// SPDX-License-Identifier: GPL-2.0
import IopmemSystem
import SystemPackage

/// What every operation that changes something needs.
public struct Operation {
    let host: any Host
    let listener: any Listener

    /// How long a node may take to appear, or udev to become quiet.
    ///
    /// As long as udevadm settle waits: far beyond what either needs (milliseconds, or
    /// seconds while a large machine boots), so that it is over only where something is
    /// broken.
    let patience: Duration

    /// How often that long, where udev is not quiet all the time: less than the units of systemd may
    /// take (systemd/iopmem-restore@.service).
    static let rounds = 4

    /// Operations on that machine, told to that listener.
    public init(
        on host: any Host, telling listener: any Listener, patience: Duration = .seconds(120)
    ) {
        self.host = host
        self.listener = listener
        self.patience = patience
    }

    /// Only root can; said before anything is touched.
    func requirePrivilege(for deed: String) throws(IopmemError) {
        guard host.isPrivileged else {
            throw IopmemError(
                .permission, "cannot \(deed)", because: "only root may", remedy: "run it as root")
        }
    }

    /// Where Ctrl-C is obeyed: between steps, with everything undone.
    public func checkpoint() throws(IopmemError) {
        guard let signal = host.pendingSignal() else { return }
        throw IopmemError(.interrupted, "interrupted; nothing was changed", signal: signal)
    }

    /// The driver's control node, after the driver was loaded if need be, and
    /// its version.
    func openDriver(
        _ rollback: inout Rollback
    ) throws(IopmemError) -> (control: any DriverControl, version: DriverVersion) {
        if !host.root.exists(DriverFacts.sysfsPath) {
            listener.step("load the module \(DriverFacts.name)")
            let host = host
            rollback.add("unload the module \(DriverFacts.name)") { () throws(IopmemError) in
                if host.root.exists(DriverFacts.sysfsPath) {
                    try host.unloadModule(DriverFacts.name)
                }
            }
            do throws(IopmemError) {
                try host.loadModule(DriverFacts.name)
            } catch {
                // Ctrl-C on a terminal reaches modprobe as well.
                try checkpoint()
                throw IopmemError(
                    .unsupported, error.message,
                    remedy: error.remedy ?? "find out why: iopmemctl doctor; dmesg | tail")
            }
        }
        let control: any DriverControl
        do throws(Errno) {
            control = try host.openControl()
        } catch {
            throw IopmemError(
                error, "cannot open \(ControlNode.path)",
                remedy: error == .noSuchFileOrDirectory
                    ? "load the driver: modprobe iopmem; find out more: iopmemctl doctor" : nil)
        }
        do throws(IopmemError) {
            return (control, try checkedVersion(control))
        } catch {
            control.close()
            throw error
        }
    }

    private func checkedVersion(_ control: any DriverControl) throws(IopmemError) -> DriverVersion {
        let version: DriverVersion
        do throws(DriverRefusal) {
            version = try control.version()
        } catch {
            throw IopmemError(
                .abiMismatch, "cannot ask the driver for its version", because: error.explanation,
                remedy: "install tool and driver of the same release")
        }
        guard version.abi == DriverVersion.supportedABI else {
            throw IopmemError(
                .abiMismatch,
                "driver and tool do not match: the driver \(version.release) speaks ABI"
                    + " \(version.abi), this tool \(DriverVersion.supportedABI)",
                remedy: "install tool and driver of the same release, and load that driver")
        }
        return version
    }

    func write(
        _ value: String, to path: String, purpose deed: String
    ) throws(IopmemError) {
        do throws(Errno) {
            try host.write(value, to: path)
        } catch {
            throw IopmemError(error, "cannot \(deed) (writing \(path))")
        }
    }
}

extension IopmemError {
    /// The driver's refusal of what `message` says.
    init(_ refusal: DriverRefusal, _ message: String, remedy: String? = nil) {
        self.init(
            Code(refusal.errno), message, because: refusal.explanation, remedy: remedy)
    }
}
