// SPDX-License-Identifier: GPL-2.0

/// Sizes as users write and read them: `K M G T` are powers of 1024, as in ndctl.
public enum ByteSize {
    private static let units: [(letter: Character, shift: UInt64)] = [
        ("T", 40), ("G", 30), ("M", 20), ("K", 10),
    ]

    /// Reads `4096`, `64K`, `2M`, `1GiB`; nil if it is not a size or does not
    /// fit in 64 bits.
    public static func parse(_ text: some StringProtocol) -> UInt64? {
        var digits = Substring(text.uppercased())
        if digits.hasSuffix("IB") { digits.removeLast(2) }
        var shift: UInt64 = 0
        if let last = digits.last, let unit = units.first(where: { $0.letter == last }) {
            shift = unit.shift
            digits.removeLast()
        } else if text.uppercased().hasSuffix("IB") {
            return nil
        }
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }),
            let count = UInt64(digits)
        else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : bytes
    }

    /// A size that `parse` reads back as the same number: `256M`, `4096`.
    public static func exact(_ bytes: UInt64) -> String {
        guard bytes > 0 else { return "0" }
        for unit in units where bytes.isMultiple(of: 1 << unit.shift) {
            return "\(bytes >> unit.shift)\(unit.letter)"
        }
        return "\(bytes)"
    }

    /// A size for a table: at most one decimal, `1.5 GiB`, `512 MiB`, `96 B`.
    public static func display(_ bytes: UInt64) -> String {
        for unit in units where bytes >= 1 << unit.shift {
            let whole = bytes >> unit.shift
            let tenths = ((bytes & ((1 << unit.shift) - 1)) * 10) >> unit.shift
            return tenths == 0 ? "\(whole) \(unit.letter)iB" : "\(whole).\(tenths) \(unit.letter)iB"
        }
        return "\(bytes) B"
    }
}
