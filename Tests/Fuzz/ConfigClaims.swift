// SPDX-License-Identifier: GPL-2.0
@testable import Iopmem

/// Every mistake has a place in the text, and what has none says again what it said when it is
/// written down anew.
enum ConfigClaims {
    static func examine(_ bytes: [UInt8]) {
        let text = ConfigText(bytes: bytes)
        let reading = CardFile.read(text)
        claim(
            (reading.file == nil) == !reading.objections.isEmpty,
            "a file with mistakes, or neither: \(reading)")
        if String(validating: bytes, as: UTF8.self) != nil {
            for objection in reading.objections {
                let line = objection.place.line
                claim(
                    (1...max(text.lines.count, 1)).contains(line), "no line for \(objection)")
                let length = line <= text.lines.count ? text.lines[line - 1].count : 0
                claim(
                    (1...length + 1).contains(objection.place.column),
                    "no column for \(objection)")
            }
        }
        for objection in reading.objections {
            claim(!objection.reason.isEmpty, "a mistake without a reason")
        }
        guard let file = reading.file else { return }
        let again = CardFile.read(ConfigText(file.text))
        claim(again.file == file, "\(file) is read back as \(again)")
        edit(text, file)
    }

    /// Changing one section leaves the others as they are.
    private static func edit(_ text: ConfigText, _ file: CardFile) {
        for section in text.sections where section.name == "namespace" {
            let left = CardFile.read(ConfigText(text.removing(section)))
            claim(
                left.file?.namespaces.count == file.namespaces.count - 1,
                "one section less leaves \(left)")
            let renamed = CardFile.read(ConfigText(text.setting("number", to: "7", in: section)))
            let numbers = renamed.file?.namespaces.filter { $0.number == 7 }.count ?? 0
            claim(numbers >= 1 || !renamed.objections.isEmpty, "no number 7 in \(renamed)")
        }
        let uuid = NamespaceUUID(bytes: [UInt8](repeating: 0x5a, count: 16))
        guard let uuid, !file.namespaces.contains(where: { $0.uuid == uuid }) else { return }
        let added = ConfiguredNamespace(uuid: uuid, offset: 1 << 40, size: 2 << 20)
        let more = CardFile.read(ConfigText(text.appending(added.text)))
        claim(
            more.file.map { $0.namespaces.dropLast() == file.namespaces[...] }
                ?? !more.objections.isEmpty,
            "one section more gives \(more)")
    }
}
