// SPDX-License-Identifier: GPL-2.0
import ArgumentParser
import Iopmem

/// What a shell offers for a word of the command line, looked up when somebody presses Tab.
///
/// Where it cannot be looked up nothing is offered: nobody reads an error there.
struct Offer: Equatable {
    /// What would be typed.
    let word: String
    /// What it stands for, for shells that show it.
    let meaning: String

    /// As that shell's completions are written: zsh's `_describe` takes what is behind a colon, fish
    /// what is behind a tab, as the meaning; bash shows none.
    func text(for shell: CompletionShell?) -> String {
        switch shell {
        case .zsh: "\(word.replacing(":", with: "\\:")):\(meaning)"
        case .fish: "\(word)\t\(meaning)"
        default: word
        }
    }

    /// PCI functions of which this is true.
    static func functions(
        _ host: any Host, where isMeant: (Device) -> Bool
    ) -> [Offer] {
        let devices = (try? DeviceList(root: host.root))?.devices ?? []
        return devices.filter(isMeant).map { Offer(word: "\($0.address)", meaning: $0.name) }
    }

    /// Namespaces, by the names that their users gave them or else the kernel's.
    static func namespaces(_ host: any Host) -> [Offer] {
        let namespaces = (try? Inventory(root: host.root))?.namespaces ?? []
        return namespaces.map { namespace in
            let meaning = [
                namespace.name.isEmpty ? nil : namespace.dev, namespace.mode.rawValue,
                ByteSize.display(namespace.size), "on \(namespace.device)",
            ]
            return Offer(
                word: namespace.name.isEmpty ? namespace.dev : namespace.name,
                meaning: meaning.compactMap(\.self).joined(separator: ", "))
        }
    }
}

extension CompletionKind {
    /// Functions with memory, whatever drives them.
    static let functionWithMemory = functions { $0.bars.contains(where: \.isMemory) }
    /// Those that are, or could be made, regions.
    static let card = functions { device in
        device.isBound || device.bars.contains(where: \.mayBeRegion)
    }
    /// Those that are regions.
    static let boundFunction = functions(where: \.isBound)
    /// Who may do DMA: everything but bridges.
    static let client = functions { !$0.isBridge }

    /// Names of namespaces.
    static let namespace = custom { _, _, _ in
        Offer.namespaces(LinuxHost()).map { $0.text(for: .requesting) }
    }

    private static func functions(
        where isMeant: @escaping @Sendable (Device) -> Bool
    ) -> CompletionKind {
        custom { _, _, _ in
            Offer.functions(LinuxHost(), where: isMeant).map { $0.text(for: .requesting) }
        }
    }
}
