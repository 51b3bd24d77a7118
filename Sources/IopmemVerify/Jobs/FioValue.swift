// SPDX-License-Identifier: GPL-2.0
import Iopmem

/// Values as fio writes them in options.
public enum FioValue {
    /// Why a value is none.
    struct Refusal: Error, Equatable {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    /// Bytes: `4k`, `1m`, `64kb`, `0x1000`.
    static func bytes(_ text: String) throws(Refusal) -> UInt64 {
        var rest = Substring(text.lowercased())
        let isHexadecimal = rest.hasPrefix("0x")
        if isHexadecimal { rest = rest.dropFirst(2) }
        let digits = rest.prefix { isHexadecimal ? $0.isHexDigit && $0 != "b" : $0.isNumber }
        guard let number = UInt64(isHexadecimal ? rest : digits, radix: isHexadecimal ? 16 : 10)
        else { throw Refusal("\(text) is no number of bytes") }
        guard !isHexadecimal else { return number }
        let suffix = rest.dropFirst(digits.count)
        let letters = ["", "k", "m", "g", "t", "p"]
        if let power = letters.firstIndex(where: { suffix == $0 || suffix == $0 + "b" && $0 != "" })
        {
            let (result, overflow) = number.multipliedReportingOverflow(by: 1 << (10 * power))
            guard !overflow else { throw Refusal("\(text) is more than 64 bits hold") }
            return result
        }
        if suffix.contains("i") {
            throw Refusal(
                "\(text): fio takes Ki for 1000 (kb_base); write \(digits)\(suffix.prefix(1))")
        }
        throw Refusal("\(text) is no number of bytes")
    }

    /// An option that counts something.
    static func count(_ text: String) throws(Refusal) -> UInt64 {
        guard let number = UInt64(text) else { throw Refusal("\(text) is no number") }
        return number
    }

    /// 0 or 1; nothing stands for 1.
    static func isOn(_ text: String?) throws(Refusal) -> Bool {
        switch text {
        case nil, "1": return true
        case "0": return false
        case let text?: throw Refusal("\(text) is neither 0 nor 1")
        }
    }

    /// A length of time, in seconds unless it says otherwise: `30`, `500ms`, `2m`.
    static func duration(_ text: String) throws(Refusal) -> Duration {
        let digits = text.prefix { $0.isNumber }
        let units: [String: Int64] = [
            "": 1_000_000, "s": 1_000_000, "us": 1, "ms": 1000, "m": 60_000_000,
            "h": 3_600_000_000, "d": 86_400_000_000,
        ]
        guard let number = Int64(digits), let unit = units[String(text.dropFirst(digits.count))]
        else {
            throw Refusal("\(text) is no length of time")
        }
        let (result, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow else { throw Refusal("\(text) is too long") }
        return .microseconds(result)
    }

    /// The same for people who type it.
    public static func duration(argument text: String) -> Duration? {
        try? duration(text)
    }

    /// The value of a direction, of `read[,write[,trim]]`; one value stands for both.
    static func directions(_ text: String) throws(Refusal) -> (read: Substring, write: Substring) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= 3, parts.count < 3 || parts[2].isEmpty else {
            throw Refusal("\(text): nothing is trimmed here")
        }
        return parts.count == 1 ? (parts[0], parts[0]) : (parts[0], parts[1])
    }

    /// `rate` and `rate_iops`.
    static func limit(
        _ text: String, _ value: (String) throws(Refusal) -> UInt64
    ) throws(Refusal) -> Pace.Limit {
        let (read, write) = try directions(text)
        var limit = Pace.Limit()
        if !read.isEmpty { limit.read = try value(String(read)) }
        if !write.isEmpty { limit.write = try value(String(write)) }
        return limit
    }

    /// `bsrange`: `4k-64k`.
    static func range(_ text: Substring) throws(Refusal) -> BlockSizes {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2 else { throw Refusal("\(text) is not of the form 4k-64k") }
        return .range(try blockSize(ends[0]), try blockSize(ends[1]))
    }

    /// `bssplit`: `4k/10:64k/90`; those without a share have equal parts of what is left.
    static func split(_ text: Substring) throws(Refusal) -> BlockSizes {
        var shares: [(size: Int, percent: Int?)] = []
        for part in text.split(separator: ":", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(pair.count) else {
                throw Refusal("\(text) is not of the form 4k/10:64k/90")
            }
            let size = try blockSize(pair[0])
            guard pair.count == 2, !pair[1].isEmpty else {
                shares.append((size, nil))
                continue
            }
            guard let percent = Int(pair[1]), (0...100).contains(percent) else {
                throw Refusal("\(pair[1]) is no share of 100")
            }
            shares.append((size, percent))
        }
        var left = 100 - shares.reduce(0) { $0 + ($1.percent ?? 0) }
        var open = shares.filter { $0.percent == nil }.count
        guard left == 0 || left > 0 && open > 0 else {
            throw Refusal("the shares of \(text) make \(100 - left), not 100")
        }
        return .split(
            shares.map { share in
                guard share.percent == nil else {
                    return BlockSizes.Share(size: share.size, percent: share.percent ?? 0)
                }
                let part = left / open
                left -= part
                open -= 1
                return BlockSizes.Share(size: share.size, percent: part)
            }.filter { $0.percent > 0 })
    }

    /// `bs`.
    static func blockSize(_ text: Substring) throws(Refusal) -> Int {
        Int(clamping: try bytes(String(text)))
    }

    /// The one of a few words.
    static func word<Value: RawRepresentable & CaseIterable>(
        _ text: String, _: Value.Type = Value.self
    ) throws(Refusal) -> Value where Value.RawValue == String {
        if let value = Value(rawValue: text) { return value }
        let names = Value.allCases.map(\.rawValue)
        throw Refusal(
            "\(text) is not among \(names.joined(separator: ", "))"
                + (nearest(to: text, among: names).map { "; \($0)?" } ?? ""))
    }

    /// The name that takes the fewest changes of a letter.
    static func nearest(to word: String, among names: some Sequence<String>) -> String? {
        names.map { (name: $0, distance: distance(word, $0)) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
    }

    /// Letters to insert, delete or change (Levenshtein).
    private static func distance(_ first: String, _ second: String) -> Int {
        let letters = Array(second)
        var row = Array(0...letters.count)
        for (index, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for place in letters.indices {
                let change = diagonal + (letter == letters[place] ? 0 : 1)
                diagonal = row[place + 1]
                row[place + 1] = min(change, row[place] + 1, diagonal + 1)
            }
        }
        return row[letters.count]
    }
}
