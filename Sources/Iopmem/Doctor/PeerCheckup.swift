// SPDX-License-Identifier: GPL-2.0

/// What could keep other devices from reaching the memory of those that are bound, or make them take
/// a longer way.
struct PeerCheckup {
    let topology: Topology

    /// Of those that are still there.
    func examine(_ bound: [Device]) throws(IopmemError) -> [Check] {
        let providers = bound.filter { topology.tree.devices.contains($0) }
        guard !providers.isEmpty else { return [] }
        var checks: [Check] = []
        for address in topology.clients {
            let client = try topology.tree.device(at: address)
            checks.append(mastering(client))
            checks += [trust(client)].compactMap { $0 }
            checks += providers.compactMap { reach(client, $0) }
            for provider in providers {
                checks.append(
                    way(try topology.pair(provider: provider.address, client: address)))
            }
        }
        return checks
    }

    private func mastering(_ client: Device) -> Check {
        let subject = "\(client.address) (\(client.driver ?? "no driver"))"
        return client.isBusMaster
            ? Check("bus_master", .ok, subject, "it may do DMA")
            : Check(
                "bus_master", .warning, subject,
                "it may not do DMA (command register, bit 2): it sleeps, or its driver gave up",
                remedy: "see what the kernel said: dmesg | grep \(client.address)")
    }

    /// What is plugged in from outside must not see what lies in the same page as its buffer: what is
    /// no whole page is copied (drivers/iommu/dma-iommu.c, dev_use_swiotlb()). The kernel trusts it as
    /// little as it is removable (drivers/pci/probe.c, set_pcie_untrusted()).
    private func trust(_ client: Device) -> Check? {
        guard let isExternal = client.isExternal else { return nil }
        let subject = "\(client.address) (\(client.driver ?? "no driver"))"
        guard isExternal, client.iommu == .translated else {
            return Check(
                "untrusted", .ok, subject,
                isExternal
                    ? "behind an external port, and no IOMMU stands between"
                    : "built in: the kernel trusts it")
        }
        return Check(
            "untrusted", .warning, subject,
            "behind an external port: the kernel does not trust it, and copies what is no whole page"
                + " through RAM",
            remedy: "let it transfer whole pages of 4 KiB at such addresses, or put it into a slot"
                + " inside the machine")
    }

    /// An address that is too wide for the client is no error for pages of fsdax and devdax: the
    /// kernel copies through a bounce buffer (kernel/dma/direct.h, dma_direct_map_page()).
    private func reach(_ client: Device, _ provider: Device) -> Check? {
        let regions = provider.bars.filter { $0.region != nil }
        guard let end = regions.map({ $0.physicalAddress + ($0.size - 1) }).max() else {
            return nil
        }
        let subject = "\(client.address) → \(provider.address)"
        guard let bits = client.dmaMaskBits else {
            return Check(
                "dma_mask", .unknown, subject, "the kernel does not say how far its DMA reaches")
        }
        let needed = UInt64.bitWidth - end.leadingZeroBitCount
        guard bits < needed else {
            return Check(
                "dma_mask", .ok, subject, "its DMA reaches the whole memory (\(bits) bits)")
        }
        guard client.iommu != .translated else {
            return Check(
                "dma_mask", .ok, subject,
                "the IOMMU gives it addresses that its DMA reaches (\(bits) bits)")
        }
        return Check(
            "dma_mask", .problem, subject,
            "its DMA reaches \(bits) bits, and the memory ends at 0x\(String(end, radix: 16)): every"
                + " transfer is copied through RAM",
            remedy:
                "have the firmware place the BAR lower (turn off \"Above 4G decoding\"), or boot"
                + " with an IOMMU that translates: iommu.passthrough=0")
    }

    private func way(_ pair: PeerPair) -> Check {
        let subject = "\(pair.client) → \(pair.provider)"
        let status: Check.Status =
            switch pair.verdict {
            // Where an IOMMU translates, that is true of mode p2pdma alone.
            case .busAddress: pair.iommu == .translated ? .warning : .ok
            // It arrives, but takes a way that a setting makes longer.
            case .throughHostBridge: pair.redirectingBridges.isEmpty ? .ok : .warning
            case .notSupported: .warning
            case .unknown: .unknown
            }
        return Check("peer_path", status, subject, pair.reason, remedy: pair.remedy)
    }
}
