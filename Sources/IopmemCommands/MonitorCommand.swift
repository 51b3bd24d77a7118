// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl monitor`
public struct MonitorCommand: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "monitor",
        abstract: "Follow what happens to regions and namespaces.",
        discussion: """
            One line for each event, or one JSON object with -o json, until it is stopped. Events:

              bound, unbound   a region has come or gone
              added, removed   a namespace can be used, or has gone
              revoked          it is being taken away from its users
              media-error      a block of it was found bad
              reset, resumed   the function was reset, the machine has slept: data may be gone
              lost             too many at once: see iopmemctl list

            EXAMPLES
              iopmemctl monitor
              iopmemctl monitor -o json | jq 'select(.event == "media-error")'
            """)

    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Prints each event when it comes.
    public func run(in context: Context) throws(IopmemError) {
        try Operation(on: context.host, telling: context.console).monitor {
            (event) throws(IopmemError) in
            try context.console.show(event)
        }
    }
}

extension MachineEvent: LineReport {
    /// The time, the event, and what is known about it, as `key=value`.
    var line: String {
        var words = ["\(time)", kind.rawValue]
        if let dev { words.append(dev) }
        for (key, value) in [
            ("uuid", uuid.map { "\($0)" }), ("name", name), ("mode", mode?.rawValue),
            ("device", device.map { "\($0)" }), ("openers", openers.map { "\($0)" }),
            ("bad_blocks", badBlocks.map { "\($0)" }),
        ] {
            if let value { words.append("\(key)=\(value)") }
        }
        return words.joined(separator: " ")
    }
}
