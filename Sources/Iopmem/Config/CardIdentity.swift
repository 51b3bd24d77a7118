// SPDX-License-Identifier: GPL-2.0
import Glibc
public import IopmemSystem

/// Two ids of a PCI function: vendor and device, or those of the subsystem.
public struct PCIPair: Sendable, Hashable, CustomStringConvertible {
    /// Whose it is.
    public var vendor: UInt16
    /// What it is.
    public var device: UInt16

    /// Those ids.
    public init(vendor: UInt16, device: UInt16) {
        self.vendor = vendor
        self.device = device
    }

    /// Reads `1af4:1110`, as lspci writes it.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 4 && $0.allSatisfy(\.isHexDigit) }),
            let vendor = UInt16(parts[0], radix: 16), let device = UInt16(parts[1], radix: 16)
        else { return nil }
        self.init(vendor: vendor, device: device)
    }

    /// The same form.
    public var description: String { "\(Self.digits(vendor)):\(Self.digits(device))" }

    private static func digits(_ id: UInt16) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}

/// Who a card is, and where it sits.
public struct CardIdentity: Sendable, Equatable {
    /// The way to it from its root bus, `0000:00:02.0/00.0`: bus numbers below the
    /// root are given anew at each boot, device and function numbers are wires.
    public var path: String
    /// Vendor and device.
    public var id: PCIPair
    /// Those of the subsystem; nil where there are none.
    public var subsystem: PCIPair?
    /// The device serial number, as lspci writes it; nil where there is none.
    public var serial: String?

    /// That card.
    public init(path: String, id: PCIPair, subsystem: PCIPair? = nil, serial: String? = nil) {
        self.path = path
        self.id = id
        self.subsystem = subsystem
        self.serial = serial
    }

    /// The card in that place of the machine.
    public init(_ device: Device, root: SystemRoot) {
        func id(_ attribute: String) -> UInt16? {
            (try? root.number("\(device.sysfsPath)/\(attribute)")).flatMap { UInt16(exactly: $0) }
        }
        var pair: PCIPair?
        if let vendor = id("subsystem_vendor"), let device = id("subsystem_device"),
            (vendor, device) != (0, 0)
        {
            pair = PCIPair(vendor: vendor, device: device)
        }
        self.init(
            path: Self.path(of: device, root: root),
            id: PCIPair(vendor: device.vendorID, device: device.deviceID), subsystem: pair,
            serial: device.serial)
    }

    /// As in the kernel's own parameters (pci_dev_str_match_path() in
    /// drivers/pci/pci.c): `[<domain>:]<bus>:<dev>.<func>[/<dev>.<func>]*`.
    private static func path(of device: Device, root: SystemRoot) -> String {
        let parts = (root.realPath(device.sysfsPath) ?? "\(device.address)").split(separator: "/")
        // Below a host bridge; where one is itself a PCI function, the last counts.
        let below = parts.lastIndex { $0.hasPrefix("pci") }.map { parts[($0 + 1)...] }
        let functions = (below ?? parts.suffix(1)).filter { PCIAddress($0) != nil }
        guard let first = functions.first else { return "\(device.address)" }
        return ([String(first)] + functions.dropFirst().map { String($0.suffix(4)) })
            .joined(separator: "/")
    }
}

/// Which cards a file means. What is nil says nothing.
public struct CardPattern: Sendable, Equatable {
    /// A path as in ``CardIdentity``, in which `*` and `?` stand for others.
    public var path: String?
    /// Vendor and device.
    public var id: PCIPair
    /// Those of the subsystem.
    public var subsystem: PCIPair?
    /// The device serial number.
    public var serial: String?

    /// Those cards.
    public init(
        path: String? = nil, id: PCIPair, subsystem: PCIPair? = nil, serial: String? = nil
    ) {
        self.path = path
        self.id = id
        self.subsystem = subsystem
        self.serial = serial
    }

    /// Exactly that card.
    public init(_ card: CardIdentity) {
        self.init(path: card.path, id: card.id, subsystem: card.subsystem, serial: card.serial)
    }

    /// Whether a path may match in several places.
    var isGlob: Bool { path?.contains { $0 == "*" || $0 == "?" } ?? true }

    /// What a card is to a file.
    public enum Verdict: Sendable, Equatable {
        /// Another one.
        case other
        /// The one that it means.
        case match
        /// Another one in the place of the one that it means; with the differences.
        case impostor([String])
    }

    /// A card is known by its serial number wherever it sits. One without, or a
    /// file that names none, is known by its place and its ids.
    public func verdict(on card: CardIdentity) -> Verdict {
        let differences = differences(from: card)
        let isInPlace = isInPlace(card)
        guard differences.isEmpty else {
            return isInPlace && !isGlob ? .impostor(differences) : .other
        }
        // All functions of a card have the same serial number (PCIe Base Specification, "Device Serial
        // Number Extended Capability"), and keep their numbers wherever it is.
        let isSameFunction = isGlob || path?.last == card.path.last
        return isInPlace || serial != nil && isSameFunction ? .match : .other
    }

    /// Whether nothing but this place can be meant, or the file means many cards on purpose.
    func isCertain(of card: CardIdentity) -> Bool {
        serial == nil || !isGlob && isInPlace(card)
    }

    /// The same among all functions of the machine: makers give one serial number to many cards, and
    /// of those only the one in its place is meant.
    public func verdict(on card: CardIdentity, among all: [CardIdentity]) -> Verdict {
        let alone = verdict(on: card)
        guard alone == .match, !isCertain(of: card) else { return alone }
        let twins = all.filter { $0.path != card.path && verdict(on: $0) == .match }
        guard !twins.isEmpty else { return .match }
        guard !twins.contains(where: isCertain) else { return .other }
        return .impostor([
            "\(twins.count + 1) cards have the serial number \(serial ?? ""), and none is in the"
                + " place that the file names"
        ])
    }

    private func isInPlace(_ card: CardIdentity) -> Bool {
        path.map { fnmatch($0, card.path, 0) == 0 } ?? true
    }

    private func differences(from card: CardIdentity) -> [String] {
        func difference(_ what: String, _ mine: String?, _ theirs: String?) -> String? {
            guard let mine, mine != theirs else { return nil }
            return "its \(what) is \(theirs ?? "missing"), and not \(mine)"
        }
        return [
            difference("id", "\(id)", "\(card.id)"),
            difference(
                "subsystem", subsystem.map { "\($0)" }, card.subsystem.map { "\($0)" }),
            difference("serial number", serial, card.serial),
        ].compactMap { $0 }
    }
}
