// SPDX-License-Identifier: GPL-2.0

/// Where in a region a new namespace goes.
struct Extent {
    let range: Range<UInt64>

    /// Reads what stands in the region now. Fails with the exact size that
    /// would do where the wanted one does not.
    ///
    /// - Parameter kept: What else is not free: the places of namespaces that
    ///   labels, or a file in /etc/iopmem, describe and that do not stand.
    init(
        of request: CreateRequest, in region: Region, keeping kept: [Range<UInt64>] = [],
        host: any Host
    ) throws(IopmemError) {
        let inventory = try Inventory(root: host.root)
        let free = FreeSpace(
            of: region, namespaces: inventory.namespaces(in: region), keeping: kept)
        guard let largest = free.largest else {
            throw Self.full(region, kept)
        }
        switch request.size {
        case .max:
            range = largest
        case .bytes(let bytes):
            try Self.checkAlignment(bytes, region)
            guard let found = free.firstFit(bytes) else {
                let labelled = kept.isEmpty ? "" : " beside what is described and not restored"
                throw IopmemError(
                    .failed, "\(ByteSize.exact(bytes)) do not fit in \(region.dev)",
                    because: "its largest free extent has \(ByteSize.exact(UInt64(largest.count)))"
                        + " (\(largest.count) bytes)\(labelled)",
                    remedy: "use --size \(ByteSize.exact(UInt64(largest.count))), or --size max")
            }
            range = found
        }
    }

    private static func full(_ region: Region, _ kept: [Range<UInt64>]) -> IopmemError {
        guard !kept.isEmpty else {
            return IopmemError(
                .failed, "no space is left in \(region.dev)",
                remedy: "destroy a namespace there: iopmemctl list \(region.dev)")
        }
        return IopmemError(
            .failed, "no space is left in \(region.dev)",
            because: "\(kept.count) namespaces are described that are not restored",
            remedy: "bring them back: iopmemctl restore \(region.device); then destroy what is"
                + " not needed")
    }

    private static func checkAlignment(_ bytes: UInt64, _ region: Region) throws(IopmemError) {
        guard !bytes.isMultiple(of: region.align) else { return }
        let below = bytes / region.align * region.align
        let above = below.addingReportingOverflow(region.align)
        let choices = [below, above.overflow ? 0 : above.partialValue].filter { $0 > 0 }
            .map { "--size \(ByteSize.exact($0))" }
        throw IopmemError(
            .invalid, "\(bytes) bytes is no size of a namespace",
            because: "sizes are multiples of \(ByteSize.exact(region.align))",
            remedy: "use \(choices.joined(separator: " or "))")
    }
}
