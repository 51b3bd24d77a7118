// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import IopmemSystem
import SystemPackage

/// A block device that moves data to and from the BAR by its own DMA.
struct Peer {
    /// As the user wrote it.
    let path: String
    let device: BlockDevice
    /// The PCI function that does its DMA.
    let function: String
    /// Bytes.
    let size: UInt64
    /// What O_DIRECT offsets and lengths must be multiples of, and at least a
    /// page, because the other side of each transfer is one.
    let unit: Int

    /// Disks that may be behind a PCI function and yet do no DMA.
    private static let memoryDisks = ["iopmem", "pmem"]

    /// Refuses what cannot be a peer of `target`.
    static func find(
        _ path: String, for target: VerifyTarget, on host: any Host
    ) throws(IopmemError) -> Peer {
        let status: FileStatus
        do throws(Errno) {
            status = try FileStatus(of: path)
        } catch .noSuchFileOrDirectory {
            throw IopmemError(
                .notFound, "no peer \(path)", remedy: "show the block devices: lsblk")
        } catch {
            throw IopmemError(error, "cannot look at the peer \(path)")
        }
        guard status.kind == .block else {
            throw IopmemError(
                .usage, "the peer \(path) is not a block device",
                remedy: "name a drive, as /dev/nvme0n1")
        }
        let device: BlockDevice
        let geometry: BlockGeometry
        do throws(Errno) {
            device = try BlockDevice(status.device, root: host.root)
            geometry = try OpenFile(path, .direct).blockGeometry()
        } catch {
            throw IopmemError(error, "cannot open the peer \(path) for O_DIRECT")
        }
        guard device.disk != target.device?.disk else {
            throw IopmemError(.usage, "the peer \(path) is the target's own device")
        }
        guard !memoryDisks.contains(where: device.disk.hasPrefix) else {
            throw IopmemError(
                .unsupported,
                "the peer \(path) is memory itself, which its driver copies with the CPU",
                remedy: "name a drive that does DMA, as /dev/nvme0n1")
        }
        guard let function = device.pciFunction else {
            throw IopmemError(
                .unsupported,
                "the peer \(path) is not behind a PCI function, so it does no DMA to a BAR",
                remedy: "name a drive on PCIe, as /dev/nvme0n1")
        }
        let unit = max(geometry.logicalBlock, FileMapping.pageSize)
        guard geometry.size >= UInt64(unit) else {
            throw IopmemError(.usage, "the peer \(path) holds only \(geometry.size) bytes")
        }
        return Peer(
            path: path, device: device, function: function, size: geometry.size, unit: unit)
    }

    /// Opens it for being written, held by nobody else.
    func claim(on host: any Host) throws(IopmemError) -> OpenFile {
        let file: OpenFile
        let isReadOnly: Bool
        do throws(Errno) {
            file = try OpenFile(path, [.write, .exclusive, .direct])
            isReadOnly = try file.blockGeometry().isReadOnly
        } catch .resourceBusy {
            let holders = host.holders(of: device).map(\.description)
            throw IopmemError(
                .busy, "the peer \(path) is in use",
                because: holders.isEmpty ? nil : holders.joined(separator: ", "),
                remedy: "leave out --peer-write, or name a drive that nobody uses")
        } catch {
            throw IopmemError(error, "cannot open the peer \(path) for writing")
        }
        guard !isReadOnly else {
            throw IopmemError(
                .unsupported, "the peer \(path) is read-only", remedy: "leave out --peer-write")
        }
        return file
    }
}

/// What came of moving data between a peer and the BAR in one direction.
public struct PeerResult: Sendable, Equatable, Encodable {
    /// Which way the data went.
    public enum Direction: String, Sendable, Encodable {
        /// The peer was read, its DMA wrote to the BAR.
        case peerToBAR = "peer-to-bar"
        /// The peer was written, its DMA read from the BAR.
        case barToPeer = "bar-to-peer"
    }

    /// Pass or fail, as in the public contract.
    public enum Verdict: String, Sendable, Encodable { case pass, fail }

    /// The peer's path.
    public var peer: String
    /// Which way.
    public var direction: Direction
    /// Bytes that were transferred.
    public var bytes: UInt64 = 0
    /// Nanoseconds that the transfers took.
    public var time: UInt64 = 0
    /// Nil where it was too short to say.
    public var bytesPerSecond: UInt64? {
        time > 0 ? UInt64(Double(bytes) * 1e9 / Double(time)) : nil
    }
    /// Which way it took, by the kernel's algorithm; nil where that could not be found out.
    public var topology: PeerPair?
    /// Whether the data was right and the way direct.
    public var result: Verdict = .fail
    /// How that is known, or why it is not.
    public var evidence: String = ""
    /// Why nobody counted what was copied through bounce buffers; nil if somebody did.
    var uncounted: String?
    /// What kind of failure it was; it decides the exit status.
    var failure: IopmemError?

    private enum CodingKeys: String, CodingKey {
        case peer, direction, bytes, result, evidence, topology
        case bytesPerSecond = "bw_bytes"
    }

    /// The keys of the public contract, fio's `bw_bytes`, and those of `topology`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(peer, forKey: .peer)
        try container.encode(direction, forKey: .direction)
        try container.encode(bytes, forKey: .bytes)
        try container.encodeIfPresent(bytesPerSecond, forKey: .bytesPerSecond)
        try container.encode(result, forKey: .result)
        try container.encode(evidence, forKey: .evidence)
        try container.encodeIfPresent(topology, forKey: .topology)
    }
}
