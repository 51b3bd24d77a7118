// SPDX-License-Identifier: GPL-2.0
public import Iopmem
import IopmemSystem

/// fio's `verify_pattern`: bytes that fill a block again and again, with the block's own offset in
/// them where it says `%o` (lib/pattern.c).
public struct FillPattern: Sendable, Equatable {
    /// As it was given.
    public let text: String
    /// Zeros where offsets go.
    private let bytes: [UInt8]
    private let offsetPlaces: [Int]

    /// The most that fio takes (MAX_PATTERN_SIZE).
    private static let limit = 512

    /// Reads strings in double quotes, `0x` and bytes in hexadecimal, decimal numbers in as many
    /// bytes as they need, lowest first, and `%o`, one after the other: `0xff%o"abcd"-12`.
    public init(_ text: String) throws(IopmemError) {
        var parser = PatternParser(rest: text[...])
        while !parser.rest.isEmpty {
            guard parser.takePart(), parser.bytes.count <= Self.limit else {
                throw IopmemError(
                    .usage,
                    parser.bytes.count > Self.limit
                        ? "--verify-pattern \(text) is longer than \(Self.limit) bytes"
                        : "--verify-pattern \(text): “\(parser.rest)” is no part of a pattern",
                    remedy: #"give 0xdeadbeef, "text", a number, %o, or several in a row"#)
            }
        }
        guard !parser.bytes.isEmpty else {
            throw IopmemError(.usage, "--verify-pattern is empty")
        }
        self.text = text
        bytes = parser.bytes
        offsetPlaces = parser.offsetPlaces
    }

    /// Bytes after which it begins again.
    var period: Int { bytes.count }

    /// Fills part of an I/O.
    ///
    /// - Parameters:
    ///   - position: where the part begins, in bytes from the start of the I/O.
    ///   - ioOffset: where the I/O does, in bytes from the start of the target.
    func fill(_ buffer: UnsafeMutableRawBufferPointer, position: UInt64, ioOffset: UInt64) {
        let turn = turn(position, ioOffset)
        var done = min(turn.count, buffer.count)
        buffer.copyBytes(from: turn.prefix(done))
        while done < buffer.count {
            let count = min(done, buffer.count - done)
            buffer[done..<(done + count)].copyBytes(from: buffer[..<count])
            done += count
        }
    }

    /// Whether it fills part of an I/O.
    func fills(_ buffer: UnsafeRawBufferPointer, position: UInt64, ioOffset: UInt64) -> Bool {
        guard buffer.prefix(period).elementsEqual(turn(position, ioOffset).prefix(buffer.count))
        else { return false }
        guard buffer.count > period else { return true }
        // What is the same a period further on is the same everywhere.
        let first = UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count - period)])
        return Memory.areEqual(first, UnsafeRawBufferPointer(rebasing: buffer[period...]))
    }

    /// The offset of the I/O whose data fill a buffer of a whole I/O, as the pattern itself says.
    func ioOffset(in buffer: UnsafeRawBufferPointer) -> UInt64? {
        guard let place = offsetPlaces.first, place + 8 <= buffer.count else { return nil }
        let offset = buffer.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        return fills(buffer, position: 0, ioOffset: offset) ? offset : nil
    }

    /// One period, beginning where the part does.
    private func turn(_ position: UInt64, _ ioOffset: UInt64) -> [UInt8] {
        var turn = bytes
        for place in offsetPlaces {
            withUnsafeBytes(of: ioOffset.littleEndian) {
                turn.replaceSubrange(place..<(place + 8), with: $0)
            }
        }
        let start = Int(position % UInt64(period))
        return Array(turn[start...] + turn[..<start])
    }
}

/// Takes a pattern apart, part by part.
private struct PatternParser {
    var rest: Substring
    var bytes: [UInt8] = []
    var offsetPlaces: [Int] = []

    /// False where no part begins.
    mutating func takePart() -> Bool {
        if rest.hasPrefix("\"") { return takeString() }
        if rest.hasPrefix("%o") {
            rest.removeFirst(2)
            offsetPlaces.append(bytes.count)
            bytes += [UInt8](repeating: 0, count: 8)
            return true
        }
        if rest.hasPrefix("0x") || rest.hasPrefix("0X") { return takeHexadecimal() }
        return takeDecimal()
    }

    private mutating func takeString() -> Bool {
        let inner = rest.dropFirst()
        guard let end = inner.firstIndex(of: "\"") else { return false }
        bytes += inner[..<end].utf8
        rest = inner[inner.index(after: end)...]
        return true
    }

    private mutating func takeHexadecimal() -> Bool {
        var digits = rest.dropFirst(2).prefix { $0.isASCII && $0.isHexDigit }
        // The 0 before an x belongs to the next number.
        let after = rest[digits.endIndex...]
        if digits.last == "0", after.first == "x" || after.first == "X" { digits.removeLast() }
        guard !digits.isEmpty else { return false }
        rest = rest[digits.endIndex...]
        var values = digits.compactMap { $0.hexDigitValue.map { UInt8($0) } }
        // One digit too few makes the first byte smaller.
        if !values.count.isMultiple(of: 2) { values.insert(0, at: 0) }
        for pair in stride(from: 0, to: values.count, by: 2) {
            bytes.append(values[pair] << 4 | values[pair + 1])
        }
        return true
    }

    private mutating func takeDecimal() -> Bool {
        let sign = rest.prefix { $0 == "-" || $0 == "+" }
        var digits = rest[sign.endIndex...].prefix { $0.isASCII && $0.isNumber }
        let after = rest[digits.endIndex...]
        if digits.last == "0", after.first == "x" || after.first == "X" { digits.removeLast() }
        guard sign.count <= 1, !digits.isEmpty, let value = Int32(sign + digits) else {
            return false
        }
        rest = rest[digits.endIndex...]
        var left = UInt32(bitPattern: value)
        repeat {
            bytes.append(UInt8(truncatingIfNeeded: left))
            left >>= 8
        } while left != 0
        return true
    }
}
