// SPDX-License-Identifier: GPL-2.0
import CIopmem
public import SystemPackage

/// /dev/iopmem-control: binding and unbinding.
///
/// A preparation and a retirement last as long as the node stays open.
public struct ControlNode: ~Copyable {
    /// Where it is.
    public static let path = "/dev/iopmem-control"

    private let node: OwnedDescriptor

    /// Opens it; only root can.
    public init(path: String = ControlNode.path) throws(Errno) {
        node = try OwnedDescriptor(path: path, mode: .readWrite)
    }

    /// The driver's version.
    public borrowing func version() throws(DriverRefusal) -> DriverVersion {
        try driverVersion(node)
    }

    /// Says how the next probe of a function shall go.
    public borrowing func prepareBind(_ preparation: BindPreparation) throws(DriverRefusal) {
        var argument = iopmem_device_bind()
        argument.flags = preparation.force ? iopmem_device_bind_f_force : 0
        argument.domain = preparation.function.domain
        argument.bus = preparation.function.bus
        argument.devfn = preparation.function.devfn
        argument.media = preparation.media
        argument.bar_mask = preparation.barMask
        _ = try driverCall(node, iopmem_ioc_prepare_bind, argument) { text(in: $0.reason) }
    }

    /// What became of the prepared probe.
    public borrowing func bindResult() throws(DriverRefusal) -> BindResult {
        let answer = try driverCall(node, iopmem_ioc_get_bind_result, iopmem_bind_result()) {
            text(in: $0.reason)
        }
        let verdicts = withUnsafeBytes(of: answer.bars) {
            Array($0.bindMemory(to: iopmem_bar_verdict.self))
        }
        return BindResult(
            error: answer.error == 0 ? nil : Errno(rawValue: CInt(answer.error)),
            reason: text(in: answer.reason),
            bars: verdicts.map { verdict in
                BarVerdict(
                    error: verdict.error == 0 ? nil : Errno(rawValue: CInt(verdict.error)),
                    region: verdict.region < 0 ? nil : Int(verdict.region),
                    reason: text(in: verdict.reason))
            })
    }

    /// Destroys every namespace of a device, or none if one is held; until the
    /// node is closed none can be made there. Returns how many went.
    ///
    /// - Parameter watch: called some times a second while they are taken away from their users.
    public borrowing func retire(
        _ function: FunctionNumber, revoke: Bool, watch: () -> Void
    ) throws(DriverRefusal) -> Int {
        var argument = iopmem_device_retire()
        argument.flags = revoke ? iopmem_device_retire_f_revoke : 0
        argument.domain = function.domain
        argument.bus = function.bus
        argument.devfn = function.devfn
        let node = node.raw
        let filled = argument
        let call: @Sendable () -> Result<Int, DriverRefusal> = {
            Result { () throws(DriverRefusal) in
                let answer = try driverCall(node, iopmem_ioc_retire_device, filled) {
                    text(in: $0.reason)
                }
                return Int(answer.destroyed)
            }
        }
        return try (revoke ? Workers.run(call, watch: watch) : call()).get()
    }
}

/// A PCI function by its numbers, as the ABI takes it.
public struct FunctionNumber: Equatable, Sendable {
    /// The PCI segment.
    public var domain: UInt32
    /// The bus.
    public var bus: UInt8
    /// (device << 3) | function.
    public var devfn: UInt8

    /// The function with these numbers.
    public init(domain: UInt32, bus: UInt8, devfn: UInt8) {
        self.domain = domain
        self.bus = bus
        self.devfn = devfn
    }
}

/// How the next probe of a function shall go.
public struct BindPreparation: Equatable, Sendable {
    /// The function.
    public var function: FunctionNumber
    /// Bit (1 << n): BAR n may become a region.
    public var barMask: UInt8
    /// IOPMEM_MEDIA_*.
    public var media: UInt8
    /// Accept BARs that are not prefetchable.
    public var force: Bool

    /// That preparation.
    public init(function: FunctionNumber, barMask: UInt8, media: UInt8, force: Bool) {
        self.function = function
        self.barMask = barMask
        self.media = media
        self.force = force
    }
}

/// What the driver said to one BAR.
public struct BarVerdict: Equatable, Sendable {
    /// Why it is not a region; nil if it is one. The UAPI header explains each.
    public var error: Errno?
    /// The number of the region.
    public var region: Int?
    /// In words.
    public var reason: String

    /// That verdict.
    public init(error: Errno?, region: Int?, reason: String) {
        self.error = error
        self.region = region
        self.reason = reason
    }
}

/// What became of a prepared probe.
public struct BindResult: Equatable, Sendable {
    /// Why the function is not bound; nil if it is.
    public var error: Errno?
    /// In words; empty if it is bound.
    public var reason: String
    /// One verdict for each BAR.
    public var bars: [BarVerdict]

    /// That result.
    public init(error: Errno?, reason: String, bars: [BarVerdict]) {
        self.error = error
        self.reason = reason
        self.bars = bars
    }
}
