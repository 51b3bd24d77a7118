// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// What the user wants of a new namespace.
public struct CreateRequest: Sendable, Equatable {
    /// How large it shall be.
    public enum Size: Sendable, Equatable {
        /// As large as the largest free extent.
        case max
        /// Exactly that many bytes.
        case bytes(UInt64)
    }

    /// Whose memory.
    public var device: PCIAddress
    /// Which BAR; nil for the largest eligible one.
    public var bar: Int?
    /// How large.
    public var size: Size
    /// How its pages can be reached.
    public var mode: Namespace.Mode
    /// Where its struct pages live; nil only for `raw`.
    public var map: Namespace.PageMap?
    /// The user's name, or empty.
    public var name: String
    /// Have it written down, so that `restore` brings it back.
    public var persist: Bool
    /// Let drivers allocate from it, not only programs: mode p2pdma.
    public var publish: Bool
    /// Do it although data or a driver is in the way.
    public var force: Bool
    /// Say what would be done, and do nothing.
    public var dryRun: Bool

    /// That request.
    public init(
        device: PCIAddress, bar: Int? = nil, size: Size = .max, mode: Namespace.Mode = .fsdax,
        map: Namespace.PageMap? = .mem, name: String = "", persist: Bool = false,
        publish: Bool = false, force: Bool = false, dryRun: Bool = false
    ) {
        self.device = device
        self.bar = bar
        self.size = size
        self.mode = mode
        self.map = map
        self.name = name
        self.persist = persist
        self.publish = publish
        self.force = force
        self.dryRun = dryRun
    }

    /// Why `name` cannot be the name of a namespace; nil if it can.
    ///
    /// The rule is the UAPI header's.
    public static func objection(toName name: String) -> String? {
        if name.utf8.count > DriverNumber.maxNameLength {
            return "a name has at most \(DriverNumber.maxNameLength) characters"
        }
        let isPlain = name.unicodeScalars.allSatisfy {
            $0.isASCII
                && ($0.properties.isAlphabetic || ("0"..."9").contains($0)
                    || $0 == "." || $0 == "_" || $0 == "-")
        }
        guard let first = name.first, isPlain, first.isLetter || first.isNumber else {
            return "a name has letters, digits, '.', '_' and '-', and begins with one of the first"
        }
        let rest = name.dropFirst(DriverFacts.name.count)
        if name.hasPrefix(DriverFacts.name), rest.first?.isNumber == true {
            return "names like \(name) are the kernel's"
        }
        return nil
    }
}
