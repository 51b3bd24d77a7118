// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem
import Logging
import SystemPackage

/// The files in /etc/iopmem whose names end with `.conf`.
public struct CardFolder: Sendable {
    /// Where they are.
    public static let path = "/etc/iopmem"

    /// A file, as it was read.
    public struct Entry: Sendable, Equatable {
        /// Where it is.
        public var path: String
        /// What it says.
        public var reading: CardFile.Reading

        /// What is wrong with it, as sentences with the file's name in front.
        public var complaints: [String] {
            reading.objections.map { $0.sentence(in: path) }
        }
    }

    /// By name.
    public private(set) var entries: [Entry] = []
    private let root: SystemRoot

    /// Reads them all; no folder is an empty one.
    public init(root: SystemRoot) throws(IopmemError) {
        self.root = root
        for path in try Self.files(in: Self.path, root: root) {
            do throws(IopmemError) {
                entries.append(try Self.entry(path, root: root))
            } catch {
                // One that cannot be read must not keep the others from being believed.
                let objection = ConfigObjection(ConfigPlace(line: 1, column: 1), error.message)
                entries.append(
                    Entry(
                        path: path,
                        reading: CardFile.Reading(file: nil, objections: [objection])))
            }
        }
    }

    /// The files of a folder that count, by name; none where there is no folder.
    static func files(in folder: String, root: SystemRoot) throws(IopmemError) -> [String] {
        do throws(Errno) {
            return try root.entries(folder).filter { $0.hasSuffix(".conf") && !$0.hasPrefix(".") }
                .map { "\(folder)/\($0)" }
        } catch .noSuchFileOrDirectory {
            return []
        } catch {
            throw IopmemError(error, "cannot look into \(folder)")
        }
    }

    /// Reads one file.
    public static func entry(_ path: String, root: SystemRoot) throws(IopmemError) -> Entry {
        Entry(path: path, reading: CardFile.read(try text(path, root: root)))
    }

    static func text(_ path: String, root: SystemRoot) throws(IopmemError) -> ConfigText {
        do throws(Errno) {
            return ConfigText(bytes: try root.bytes(path))
        } catch {
            throw IopmemError(error, "cannot read \(path)")
        }
    }

    /// The file that means this card, for somebody whose words nobody sees: what is
    /// wrong is also written to the journal.
    public func recordedEntry(
        for device: Device, on host: any Host
    ) throws(IopmemError) -> Entry? {
        do throws(IopmemError) {
            return try entry(for: CardIdentity(device, root: host.root), at: device.address)
        } catch {
            host.journal.error("\(error.message)")
            throw error
        }
    }

    /// The file that means this card; nil if none does.
    ///
    /// Fails where another card sits in a place that a file describes, and where
    /// two files mean this one.
    public func entry(for card: CardIdentity, at address: PCIAddress) throws(IopmemError) -> Entry?
    {
        var matches: [Entry] = []
        var impostors: [(Entry, [String])] = []
        var others: [CardIdentity]?
        for entry in entries {
            guard let pattern = entry.reading.file?.card else { continue }
            var verdict = pattern.verdict(on: card)
            if verdict == .match, !pattern.isCertain(of: card) {
                if others == nil { others = try cards() }
                verdict = pattern.verdict(on: card, among: others ?? [])
            }
            switch verdict {
            case .match: matches.append(entry)
            case .impostor(let differences): impostors.append((entry, differences))
            case .other: break
            }
        }
        guard matches.count < 2 else {
            throw IopmemError(
                .failed, "\(address) is described twice",
                because: "by \(matches.map(\.path).joined(separator: " and by "))",
                remedy: "remove one of the files, or let its path, serial and id mean others")
        }
        if let match = matches.first { return match }
        guard let (entry, differences) = impostors.first else { return nil }
        throw IopmemError(
            .failed, "\(address) is not the card that \(entry.path) describes",
            because: differences.joined(separator: ", "),
            remedy: "if it is to take that one's place, change its id, subsystem and serial in the"
                + " file; if not, remove the file or give the card another slot")
    }

    /// All functions of the machine.
    private func cards() throws(IopmemError) -> [CardIdentity] {
        try DeviceList(root: root).devices.map { CardIdentity($0, root: root) }
    }
}
