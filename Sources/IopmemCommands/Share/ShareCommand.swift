// SPDX-License-Identifier: GPL-2.0
public import ArgumentParser
public import Iopmem

/// `iopmemctl share`
public struct ShareCommand: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "share",
        abstract: "Export a namespace over NVMe/TCP, or show what is exported.",
        discussion: """
            The kernel's NVMe target does the work, and other machines connect with nvme-cli. It \
            is written down in /etc/iopmem/shares, and comes back with the namespace. What is \
            mounted or held here is refused, because two machines that write to one file system \
            destroy it; do not mount it here while it is exported. Only a local address is open \
            to any host unless --host says otherwise.

            EXAMPLES
              iopmemctl share
              iopmemctl share scratch --address 192.0.2.1 --host NQN
              nvme connect -t tcp -a 192.0.2.1 -s 4420 -n NQN
            """)

    @Argument(
        help: "Kernel name, user-given name, UUID or path of a namespace.", completion: .namespace)
    var name: String?

    @Option(help: "The IP address to listen at.")
    var address = "127.0.0.1"

    @Option(help: "The TCP port.")
    var port: UInt16 = 4420

    @Option(
        name: .customLong("host"),
        help: ArgumentHelp("A host that may connect, by its NQN, or any.", valueName: "nqn"))
    var hosts: [String] = []

    @Flag(help: "Do not write it down.")
    var once = false

    @Flag(help: "Export what is written down for the UUID that is the name.")
    var again = false

    @OptionGroup(visibility: .hidden) var yes: YesOption
    @OptionGroup(visibility: .hidden) var force: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Refuses what would let in whoever comes.
    public func validate() throws {
        guard let name else {
            guard hosts.isEmpty, !again, !once else { throw ValidationError("Name a namespace.") }
            return
        }
        guard !again || !plan.dryRun else {
            throw ValidationError("--again and --dry-run contradict each other.")
        }
        if again, NamespaceUUID(name) == nil {
            throw ValidationError("--again takes a namespace's UUID.")
        }
        guard port != 0 else { throw ValidationError("--port is a number from 1 to 65535.") }
        for host in hosts where host != "any" {
            if let objection = ShareRequest.objection(toHost: host) {
                throw ValidationError("--host \(host): \(objection).")
            }
        }
        guard !hosts.contains("any") || hosts.count == 1 else {
            throw ValidationError("--host any and names contradict each other.")
        }
        guard !again, !request.isLocal, hosts.isEmpty else { return }
        throw ValidationError(
            "\(address) is open to other machines: say who may connect, --host NQN or --host any.")
    }

    private var request: ShareRequest {
        ShareRequest(
            address: address, port: port, hosts: hosts.isEmpty || hosts == ["any"] ? nil : hosts,
            once: once, dryRun: plan.dryRun)
    }

    /// Exports, or shows what is exported.
    public func run(in context: Context) throws(IopmemError) {
        let operation = Operation(on: context.host, telling: context.console)
        guard let name else {
            return try context.console.show(SharesReport(shares: operation.shares()))
        }
        let share: Share?
        if again, let uuid = NamespaceUUID(name) {
            share = try operation.shareAgain(uuid)
        } else {
            let namespace = try Inventory(root: context.host.root).namespace(
                named: name, root: context.host.root)
            share = try operation.share(namespace, request)
        }
        try context.console.show(SharesReport(shares: [share].compactMap { $0 }))
    }
}

/// `iopmemctl unshare`
public struct Unshare: IopmemCommand {
    /// Its name and help.
    public static let configuration = CommandConfiguration(
        commandName: "unshare",
        abstract: "End the export of a namespace.",
        discussion: """
            Whoever is connected loses it, and it does not come back. A namespace that has gone is \
            named by its UUID.

            EXAMPLES
              iopmemctl unshare scratch
            """)

    @Argument(
        help: "Kernel name, user-given name, UUID or path of a namespace.", completion: .namespace)
    var name: String

    @OptionGroup(visibility: .hidden) var yes: YesOption
    @OptionGroup(visibility: .hidden) var force: ForceOption
    @OptionGroup var plan: PlanOption
    /// How it talks.
    @OptionGroup public var output: OutputOptions

    /// For ArgumentParser.
    public init() {}

    /// Ends it and shows what it was.
    public func run(in context: Context) throws(IopmemError) {
        let ended = try Operation(on: context.host, telling: context.console)
            .unshare(name, dryRun: plan.dryRun)
        try context.console.show(SharesReport(shares: ended))
    }
}

/// Exports.
struct SharesReport: Report {
    let shares: [Share]

    private enum CodingKeys: String, CodingKey { case shares }

    var sections: [ReportSection] {
        guard !shares.isEmpty else { return [.text("No share.")] }
        var table = Table(
            .text("NAMESPACE"), .text("ADDRESS"), .number("PORT"), .text("HOSTS"), .text("NQN"))
        for share in shares {
            table.add(
                share.dev, share.address, "\(share.port)",
                share.hosts?.joined(separator: " ") ?? "any", share.nqn)
        }
        return [.table(table)]
    }
}
