// SPDX-License-Identifier: GPL-2.0
public import IopmemSystem
public import Logging

/// Puts log entries into systemd's journal, with their metadata as fields:
/// `uuid` becomes `IOPMEM_UUID`, so that `journalctl IOPMEM_UUID=…` is the story
/// of a namespace.
///
/// Where no journal runs there is nobody to tell; the kernel's log has the
/// driver's own words.
public struct JournalLogHandler: LogHandler {
    private let label: String
    private let socket: JournalSocket
    /// Added to every entry.
    public var metadata: Logger.Metadata = [:]
    /// What is left out is less than this.
    public var logLevel: Logger.Level = .info

    /// For the program `label`.
    public init(label: String, socket: JournalSocket = JournalSocket()) {
        self.label = label
        self.socket = socket
    }

    /// One piece of metadata.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Sends an entry.
    public func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        var fields = [
            (name: "MESSAGE", value: "\(event.message)"),
            (name: "PRIORITY", value: "\(Self.priority(of: event.level))"),
            (name: "SYSLOG_IDENTIFIER", value: label),
        ]
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            fields.append((name: "IOPMEM_\(key.uppercased())", value: "\(value)"))
        }
        try? socket.send(fields)
    }

    /// As syslog(3) counts them.
    private static func priority(of level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
