// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem

extension Host {
    /// What keeps a block device from being claimed: mounts, swap, devices built
    /// on it, programs that have it open. Of a disk also what holds its
    /// partitions, of a partition only what holds it.
    public func holders(of device: BlockDevice) -> [Namespace.Holder] {
        let usage = BlockUsage(host: self)
        guard let directory = root.realPath("/sys/class/block/\(device.name)") else { return [] }
        let nodes = usage.nodes(ofDisk: device.name, at: directory)
        return nodes.flatMap { usage.fileHolders(of: $0) } + usage.processHolders(of: nodes)
    }
}
