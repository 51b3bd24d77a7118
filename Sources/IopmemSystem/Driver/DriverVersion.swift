// SPDX-License-Identifier: GPL-2.0
import CIopmem

/// What a driver says about itself.
public struct DriverVersion: Equatable, Sendable {
    /// The ABI that this tool was built for.
    public static let supportedABI = UInt32(IOPMEM_ABI_VERSION)

    /// The ABI that the driver speaks.
    public var abi: UInt32
    /// Bit (1 << mode) for each mode that it can create on this kernel.
    public var modes: UInt32
    /// Bit (1 << map) for each place that struct pages can live in.
    public var maps: UInt32
    /// The driver's own version.
    public var release: String

    /// A version as the driver tells it.
    public init(abi: UInt32, modes: UInt32, maps: UInt32, release: String) {
        self.abi = abi
        self.modes = modes
        self.maps = maps
        self.release = release
    }
}

/// The ABI's numbers for modes and maps.
public enum DriverNumber {
    /// The alignment of namespaces, in bytes.
    public static let align: UInt64 = iopmem_align
    /// The longest name of a namespace, in bytes, without the NUL.
    public static let maxNameLength = Int(IOPMEM_NAME_LEN) - 1
    /// The most ranges that one destroy can wipe.
    public static let maxWipes = Int(IOPMEM_MAX_WIPES)
    /// Every BAR may become a region.
    public static let allBars = UInt8(IOPMEM_BAR_MASK_ALL)
    /// The most bytes that one write to a label area can have.
    public static let maxLabelWrite = Int(iopmem_max_label_write)
    /// How many BARs a verdict covers.
    public static let bars = Int(IOPMEM_BARS)

    /// The number of a mode, nil for a word that the ABI does not know.
    public static func mode(_ word: String) -> UInt32? {
        switch word {
        case "fsdax": UInt32(IOPMEM_MODE_FSDAX)
        case "devdax": UInt32(IOPMEM_MODE_DEVDAX)
        case "p2pdma": UInt32(IOPMEM_MODE_P2PDMA)
        case "raw": UInt32(IOPMEM_MODE_RAW)
        default: nil
        }
    }

    /// The word for a mode's number, nil for one that the ABI does not have.
    public static func modeWord(_ number: UInt32) -> String? {
        ["fsdax", "devdax", "p2pdma", "raw"].first { mode($0) == number }
    }

    /// The word for a map's number; nil for 0, which is none, and for others.
    public static func mapWord(_ number: UInt32) -> String? {
        ["mem", "dev"].first { map($0) == number }
    }

    /// The word for a kind of media's number.
    public static func mediaWord(_ number: UInt32) -> String? {
        ["volatile", "persistent"].first { media($0).map(UInt32.init) == number }
    }

    /// The number of a map; 0 is the ABI's "none".
    public static func map(_ word: String?) -> UInt32? {
        switch word {
        case nil: 0
        case "mem": UInt32(IOPMEM_MAP_MEM)
        case "dev": UInt32(IOPMEM_MAP_DEV)
        default: nil
        }
    }

    /// The number of a kind of media.
    public static func media(_ word: String) -> UInt8? {
        switch word {
        case "volatile": UInt8(IOPMEM_MEDIA_VOLATILE)
        case "persistent": UInt8(IOPMEM_MEDIA_PERSISTENT)
        default: nil
        }
    }
}

/// Asks the driver behind either node for its version.
func driverVersion(_ node: borrowing OwnedDescriptor) throws(DriverRefusal) -> DriverVersion {
    let answer = try driverCall(node, iopmem_ioc_get_version, iopmem_version()) { _ in "" }
    return DriverVersion(
        abi: answer.abi, modes: answer.modes, maps: answer.maps, release: text(in: answer.release))
}
