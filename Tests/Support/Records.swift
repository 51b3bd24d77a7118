// SPDX-License-Identifier: GPL-2.0
public import Logging
import Synchronization

/// A journal that can be looked at.
public final class Records: LogHandler {
    /// An entry.
    public struct Entry: Equatable, Sendable {
        /// How grave it is.
        public var level: Logger.Level
        /// The words.
        public var message: String
        /// The metadata, as text.
        public var fields: [String: String]
    }

    private let state = Mutex<[Entry]>([])

    /// What was written, in order.
    public var entries: [Entry] { state.withLock { $0 } }
    /// Only the words.
    public var messages: [String] { entries.map(\.message) }

    /// See LogHandler; nothing is added to entries.
    public var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    /// See LogHandler; nothing is left out.
    public var logLevel: Logger.Level {
        get { .trace }
        set {}
    }

    /// See LogHandler.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    /// Keeps an entry.
    public func log(event: LogEvent) {
        let fields = (event.metadata ?? [:]).mapValues { "\($0)" }
        state.withLock {
            $0.append(Entry(level: event.level, message: "\(event.message)", fields: fields))
        }
    }
}
