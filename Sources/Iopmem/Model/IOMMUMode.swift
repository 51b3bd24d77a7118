// SPDX-License-Identifier: GPL-2.0

/// What an IOMMU makes of the addresses in a device's DMA.
public enum IOMMUMode: String, Sendable, Equatable, Encodable {
    /// They are translated: a transfer to a peer must first go to the root complex.
    case translated
    /// They are passed on as they are.
    case identity
    /// There is no IOMMU before the device.
    case none

    /// By the file `type` of its group: `identity`, or one of the kinds of translation
    /// (Documentation/ABI/testing/sysfs-kernel-iommu_groups); nil where it has no group.
    init(groupType: String?) {
        switch groupType {
        case nil: self = .none
        case "identity": self = .identity
        default: self = .translated
        }
    }
}
