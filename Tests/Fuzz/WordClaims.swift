// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

@testable import Iopmem

/// What is understood is understood again when it is written as the tool writes it.
enum WordClaims {
    static func examine(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let size = ByteSize.parse(text) {
            claim(ByteSize.parse(ByteSize.exact(size)) == size, "\(text) as a size: \(size)")
            claim(!ByteSize.display(size).isEmpty, "\(size) is not shown")
        }
        repeats(text, PCIAddress.init)
        repeats(text, PCIPair.init)
        repeats(text, NamespaceUUID.init)
        _ = DeviceNumber(text)
        _ = UInt64(sysfs: text)
        for mount in MountTable(mountinfo: text).mounts {
            claim(!mount.path.isEmpty || text.contains("  "), "\(mount) has no path")
        }
    }

    private static func repeats<Word: Equatable & CustomStringConvertible>(
        _ text: String, _ parse: (String) -> Word?
    ) {
        guard let word = parse(text) else { return }
        claim(parse("\(word)") == word, "\(text) is \(word), and that is something else")
    }
}
