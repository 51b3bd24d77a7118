// SPDX-License-Identifier: GPL-2.0

/// A Debian package version, ordered as dpkg orders them (deb-version(7)).
struct DebianVersion: Comparable {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    /// The version that those who wrote the software gave it.
    var upstream: String { String(parts.upstream) }

    private var parts: (epoch: Int, upstream: Substring, revision: Substring) {
        var rest = text[...]
        var epoch = 0
        if let colon = rest.firstIndex(of: ":"), let number = Int(rest[..<colon]) {
            epoch = number
            rest = rest[rest.index(after: colon)...]
        }
        guard let hyphen = rest.lastIndex(of: "-") else { return (epoch, rest, "") }
        return (epoch, rest[..<hyphen], rest[rest.index(after: hyphen)...])
    }

    static func < (left: DebianVersion, right: DebianVersion) -> Bool {
        let (one, two) = (left.parts, right.parts)
        if one.epoch != two.epoch { return one.epoch < two.epoch }
        let upstream = compare(one.upstream, two.upstream)
        return upstream != 0 ? upstream < 0 : compare(one.revision, two.revision) < 0
    }

    static func == (left: DebianVersion, right: DebianVersion) -> Bool {
        !(left < right) && !(right < left)
    }

    /// Runs of non-digits by weight, runs of digits by number, in turns.
    private static func compare(_ left: Substring, _ right: Substring) -> Int {
        var (one, two) = (Array(left.utf8)[...], Array(right.utf8)[...])
        while !one.isEmpty || !two.isEmpty {
            while !(one.first.map(isDigit) ?? true) || !(two.first.map(isDigit) ?? true) {
                let difference = weight(one.first) - weight(two.first)
                if difference != 0 { return difference }
                one = one.dropFirst()
                two = two.dropFirst()
            }
            let (numberOne, numberTwo) = (takeNumber(&one), takeNumber(&two))
            if numberOne != numberTwo { return numberOne < numberTwo ? -1 : 1 }
        }
        return 0
    }

    private static func takeNumber(_ bytes: inout ArraySlice<UInt8>) -> Int {
        let digits = bytes.prefix(while: isDigit)
        bytes = bytes.dropFirst(digits.count)
        return digits.reduce(0) { $0 &* 10 &+ Int($1 - 0x30) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte)
    }

    /// A tilde sorts before the end, the end and digits before letters, letters before the rest.
    private static func weight(_ byte: UInt8?) -> Int {
        guard let byte, !isDigit(byte) else { return 0 }
        if byte == UInt8(ascii: "~") { return -1 }
        let isLetter = (0x61...0x7a).contains(byte | 0x20)
        return isLetter ? Int(byte) : Int(byte) + 256
    }
}
