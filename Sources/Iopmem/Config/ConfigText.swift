// SPDX-License-Identifier: GPL-2.0

/// Where something stands in a text; both count from 1, columns in characters.
public struct ConfigPlace: Sendable, Hashable {
    /// The line.
    public var line: Int
    /// The column.
    public var column: Int

    /// That place.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// What is wrong with a configuration file, and where.
public struct ConfigObjection: Sendable, Equatable {
    /// Where.
    public var place: ConfigPlace
    /// What, without the place.
    public var reason: String

    /// That objection.
    public init(_ place: ConfigPlace, _ reason: String) {
        self.place = place
        self.reason = reason
    }

    /// As compilers say it: `FILE:LINE:COLUMN: reason`.
    public func sentence(in file: String) -> String {
        "\(file):\(place.line):\(place.column): \(reason)"
    }
}

/// The text of a configuration file, cut into sections and settings.
///
///     # a comment has a line of its own
///     [section]
///     key = value
///
/// Of its own, and not a library's: what a key means is checked after the
/// parser has gone, and still has to be told with its line and column. Nothing
/// is kept of the text but what those who change it need: the lines.
public struct ConfigText: Sendable, Equatable {
    /// `key = value`.
    public struct Setting: Sendable, Equatable {
        /// Lower-case letters, digits and `_`.
        public var key: String
        /// Without white space around it; not empty.
        public var value: String
        /// Where the key begins.
        public var place: ConfigPlace
        /// Where the value begins.
        public var valuePlace: ConfigPlace
    }

    /// `[name]`, with what follows until the next one.
    public struct Section: Sendable, Equatable {
        /// Between the brackets.
        public var name: String
        /// Where the bracket opens.
        public var place: ConfigPlace
        /// In the order of the text; no key twice.
        public var settings: [Setting] = []

        /// The line of its last setting, or its own.
        var lastLine: Int { settings.last?.place.line ?? place.line }
    }

    /// The lines, without their ends.
    public private(set) var lines: [String]
    /// In the order of the text.
    public private(set) var sections: [Section] = []
    /// What is neither section, nor setting, nor comment.
    public private(set) var objections: [ConfigObjection] = []

    /// Cuts up a text; what cannot be understood is in ``objections``.
    public init(_ text: String) {
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for (index, line) in lines.enumerated() { add(line, number: index + 1) }
    }

    /// The same of bytes, which should be UTF-8.
    public init(bytes: [UInt8]) {
        // Some editors begin a file with a mark that nobody sees.
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        let bytes = bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes
        guard let text = String(validating: bytes, as: UTF8.self) else {
            self.init("")
            let end = Self.validPrefix(of: bytes).split(
                separator: "\n", omittingEmptySubsequences: false)
            objections = [
                ConfigObjection(
                    ConfigPlace(line: max(end.count, 1), column: (end.last?.count ?? 0) + 1),
                    "this is not UTF-8")
            ]
            return
        }
        // Swift takes CR LF for one character, and so not for a newline.
        self.init(text.replacing("\r\n", with: "\n"))
    }

    private static func validPrefix(of bytes: [UInt8]) -> String {
        var low = 0
        var high = bytes.count
        while low < high {
            let middle = (low + high + 1) / 2
            // A character that is cut off is as good as one that is whole.
            let isValid = (0...3).contains { cut in
                middle >= cut
                    && String(validating: bytes[..<(middle - cut)], as: UTF8.self) != nil
            }
            if isValid { low = middle } else { high = middle - 1 }
        }
        for cut in 0...3 where low >= cut {
            if let text = String(validating: bytes[..<(low - cut)], as: UTF8.self) { return text }
        }
        return ""
    }

    private mutating func add(_ line: String, number: Int) {
        let indent = line.prefix { $0.isBlank }
        let start = ConfigPlace(line: number, column: indent.count + 1)
        let body = line[indent.endIndex...].trimmedAtEnd
        guard let first = body.first, first != "#", first != ";" else { return }
        if let strange = line.firstIndex(where: { $0.isControl }) {
            let column = line.distance(from: line.startIndex, to: strange) + 1
            object(ConfigPlace(line: number, column: column), "a control character")
        } else if first == "[" {
            addSection(body, at: start)
        } else {
            addSetting(body, at: start)
        }
    }

    private mutating func addSection(_ body: Substring, at place: ConfigPlace) {
        guard body.last == "]" else {
            let end = ConfigPlace(line: place.line, column: place.column + body.count)
            return object(end, "a section's name ends with ] and nothing after it")
        }
        sections.append(Section(name: String(body.dropFirst().dropLast()), place: place))
    }

    private mutating func addSetting(_ body: Substring, at place: ConfigPlace) {
        guard let equals = body.firstIndex(of: "=") else {
            return object(place, "this is no [section], no key = value, and no # comment")
        }
        let key = body[..<equals].trimmedAtEnd
        guard !key.isEmpty, key.allSatisfy({ $0.isKeyCharacter }) else {
            return object(place, "a key has lower-case letters, digits and _")
        }
        let rest = body[body.index(after: equals)...]
        let value = rest.drop { $0.isBlank }
        let column = place.column + body.distance(from: body.startIndex, to: value.startIndex)
        let valuePlace = ConfigPlace(line: place.line, column: column)
        guard !value.isEmpty else { return object(valuePlace, "\(key) has no value") }
        guard let last = sections.indices.last else {
            return object(place, "\(key) stands before the first [section]")
        }
        if let earlier = sections[last].settings.first(where: { $0.key == key }) {
            return object(place, "\(key) stands already in line \(earlier.place.line)")
        }
        sections[last].settings.append(
            Setting(
                key: String(key), value: String(value), place: place, valuePlace: valuePlace))
    }

    private mutating func object(_ place: ConfigPlace, _ reason: String) {
        objections.append(ConfigObjection(place, reason))
    }
}

extension ConfigText {
    /// The text itself, with a newline at the end of each line.
    public var text: String { Self.text(lines) }

    /// The text with `key = value` in a section, in place of the line that it
    /// has there, or after the section's last one.
    func setting(_ key: String, to value: String, in section: Section) -> String {
        var lines = lines
        if let old = section.settings.first(where: { $0.key == key }) {
            lines[old.place.line - 1] = "\(key) = \(value)"
        } else {
            lines.insert("\(key) = \(value)", at: section.lastLine)
        }
        return Self.text(lines)
    }

    /// The text without a section: its lines from the bracket to the last
    /// setting, and one empty line before it.
    func removing(_ section: Section) -> String {
        var lines = lines
        var first = section.place.line - 1
        if first > 0, lines[first - 1].allSatisfy(\.isBlank) { first -= 1 }
        lines.removeSubrange(first..<section.lastLine)
        return Self.text(lines)
    }

    /// The text with another one after it and an empty line between.
    func appending(_ text: String) -> String {
        let end = lines.lastIndex { !$0.allSatisfy(\.isBlank) }.map { $0 + 1 } ?? 0
        return Self.text(Array(lines[..<end])) + (end == 0 ? "" : "\n") + text
    }

    private static func text(_ lines: [String]) -> String {
        lines.map { $0 + "\n" }.joined()
    }
}

extension Character {
    /// What separates words within a line.
    var isBlank: Bool { self == " " || self == "\t" }
    fileprivate var isControl: Bool {
        self != "\t" && unicodeScalars.contains { $0.properties.generalCategory == .control }
    }
    fileprivate var isKeyCharacter: Bool {
        isASCII && (isLowercase || isNumber || self == "_")
    }
}

extension Substring {
    fileprivate var trimmedAtEnd: Substring {
        var text = self
        while let last = text.last, last.isBlank { text.removeLast() }
        return text
    }
}
