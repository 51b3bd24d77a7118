// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import Support
import SystemPackage
import Testing

/// Exports on a simulated machine.
@Suite("Share")
struct ShareTests {
    let card = "0000:00:10.0"
    private let target = "/sys/kernel/config/nvmet"

    @Test("a subsystem named by the UUID, for the hosts that were named, at the address")
    func share() throws {
        let (host, namespace) = try machine()
        let request = ShareRequest(
            address: "192.0.2.1", port: 4421, hosts: ["nqn.2014-08.org.example:a"])
        let made = try #require(try operation(host).share(namespace, request))
        let nqn = "nqn.2014-08.org.nvmexpress:uuid:\(namespace.uuid)"
        #expect(
            made
                == Share(
                    dev: "iopmem0n1", nqn: nqn, address: "192.0.2.1", port: 4421,
                    hosts: ["nqn.2014-08.org.example:a"]))
        let subsystem = "\(target)/subsystems/\(nqn)"
        #expect(host.root.optionalText("\(subsystem)/attr_allow_any_host") == "0")
        #expect(
            try host.root.entries("\(subsystem)/allowed_hosts") == ["nqn.2014-08.org.example:a"])
        #expect(host.root.optionalText("\(subsystem)/namespaces/1/device_path") == "/dev/iopmem0n1")
        #expect(host.root.optionalText("\(subsystem)/namespaces/1/enable") == "1")
        #expect(try operation(host).shares() == [made])
        #expect(
            host.root.optionalText("/etc/iopmem/shares/\(namespace.uuid).conf")?.contains(
                "address = 192.0.2.1\nport = 4421\nhosts = nqn.2014-08.org.example:a") == true)

        // As it is already: nothing is done.
        let acts = host.acts.count
        #expect(try operation(host).share(try again(namespace, host), request) == made)
        #expect(host.acts.count == acts)
        // Otherwise than it is.
        let other = #expect(throws: IopmemError.self) {
            try operation(host).share(try again(namespace, host), ShareRequest())
        }
        #expect(other?.exitStatus == 4)
        #expect(other?.remedy == "end that first: iopmemctl unshare iopmem0n1")
    }

    @Test("what is exported is held, and its end leaves nothing")
    func unshare() throws {
        let (host, namespace) = try machine()
        _ = try operation(host).share(namespace, ShareRequest(hosts: ["nqn.2014-08.org.example:a"]))
        let held = #expect(throws: IopmemError.self) {
            try operation(host).destroy(try again(namespace, host), DestroyRequest()) { _ in }
        }
        #expect(held?.exitStatus == 4)
        #expect(held?.message.contains("it is shared as nqn.") == true)
        #expect(held?.remedy == "iopmemctl unshare \(namespace.uuid)")

        #expect(try operation(host).unshare("iopmem0n1", dryRun: true).isEmpty)
        #expect(try operation(host).shares().count == 1)
        #expect(try operation(host).unshare("iopmem0n1", dryRun: false).count == 1)
        #expect(try operation(host).shares().isEmpty)
        for folder in ["subsystems", "ports", "hosts"] {
            #expect(try host.root.entries("\(target)/\(folder)").isEmpty)
        }
        #expect(!host.root.exists("/etc/iopmem/shares/\(namespace.uuid).conf"))
        // Once more is no error.
        #expect(try operation(host).unshare("iopmem0n1", dryRun: false).isEmpty)
        let unknown = #expect(throws: IopmemError.self) {
            try operation(host).unshare("nobody", dryRun: false)
        }
        #expect(unknown?.exitStatus == 3)
    }

    @Test("an export that somebody else has set up is told, and left alone")
    func foreign() throws {
        let (host, namespace) = try machine()
        let other = "\(target)/subsystems/nqn.2019-08.org.example:cluster"
        for (name, value) in [("device_path", "/dev/iopmem0n1"), ("enable", "1")] {
            try host.tree.write(value, to: "\(other)/namespaces/7/\(name)")
        }
        for act in [
            { _ = try operation(host).share(namespace, ShareRequest()) },
            { _ = try operation(host).unshare("iopmem0n1", dryRun: false) },
        ] {
            let error = #expect(throws: IopmemError.self) { try act() }
            #expect(error?.exitStatus == 4)
            #expect(error?.message.contains("nqn.2019-08.org.example:cluster") == true)
            #expect(error?.remedy?.contains(other) == true)
        }
        let held = #expect(throws: IopmemError.self) {
            try operation(host).destroy(namespace, DestroyRequest()) { _ in }
        }
        #expect(held?.remedy?.contains("iopmemctl unshare") == false, "\(held?.remedy ?? "")")
        #expect(host.root.optionalText("\(other)/namespaces/7/enable") == "1")
    }

    @Test("our own export ends where somebody else's stays")
    func ownAmongForeign() throws {
        let (host, namespace) = try machine()
        _ = try operation(host).share(namespace, ShareRequest())
        let other = "\(target)/subsystems/nqn.2019-08.org.example:cluster"
        try host.tree.write("/dev/iopmem0n1", to: "\(other)/namespaces/7/device_path")
        let listener = RecordingListener()
        let ended = try Operation(on: host, telling: listener).unshare("iopmem0n1", dryRun: false)
        #expect(ended.count == 1)
        #expect(
            try host.root.entries("\(target)/subsystems") == ["nqn.2019-08.org.example:cluster"])
        #expect(listener.warnings.contains { $0.contains("nqn.2019-08.org.example:cluster") })
    }

    @Test(
        "a file that says anything that is not understood is refused, with the place",
        arguments: [
            (
                "[share]\naddress = ::1\nhosts = any\n[shares]\n",
                "4:1: [shares] is unknown: [share]"
            ),
            (
                "[share]\naddress = ::1\nhosts = any\n[share]\naddress = ::1\nhosts = any\n",
                "4:1: a second [share]"
            ),
            (
                "[share]\naddress = ::1\nhosts = alice\n",
                "3:9: hosts = alice: expected any, or NQNs"
            ),
            ("[share]\nhosts = any\n", "1:1: [share] has no address"),
            (
                "[share]\naddress = ::1\nhosts = any\nkey = 1\n",
                "4:1: key is unknown: [share] has address, port, hosts"
            ),
            ("", "1:1: no [share]"),
        ])
    func files(_ text: String, _ reason: String) throws {
        let (host, namespace) = try machine()
        let path = "/etc/iopmem/shares/\(namespace.uuid).conf"
        try host.tree.write(text, to: path)
        let error = #expect(throws: IopmemError.self) {
            try operation(host).shareAgain(namespace.uuid)
        }
        #expect(error?.message.contains("\(path):\(reason)") == true, "\(error?.message ?? "")")
        let review = try ConfigReview(root: host.root)
        #expect(review.files.flatMap(\.complaints) == ["\(path):\(reason)"])
    }

    @Test("config check looks at the files of shares too")
    func review() throws {
        let (host, namespace) = try machine()
        _ = try operation(host).share(namespace, ShareRequest())
        let right = "[share]\naddress = ::1\nhosts = any\n"
        let away = "/etc/iopmem/shares/00000000-0000-4000-8000-00000000000f.conf"
        try host.tree.write(right, to: away)
        try host.tree.write(right, to: "/etc/iopmem/shares/scratch.conf")
        try host.tree.write(right, to: "/tmp/draft.conf")
        let files = try ConfigReview(root: host.root).files
        #expect(files.map(\.verdict).sorted() == ["matches no namespace", "ok", "wrong"])
        #expect(files.first { $0.verdict == "ok" }?.devices == [namespace.device])
        #expect(
            files.flatMap(\.complaints) == [
                "/etc/iopmem/shares/scratch.conf:1:1: scratch is no UUID: the file's name says"
                    + " which namespace is exported"
            ])
        #expect(try ConfigReview(root: host.root, files: ["/tmp/draft.conf"]).isRight)
    }

    @Test("whatever fails, the target is as it was before")
    func failures() throws {
        let (rehearsal, first) = try machine()
        let start = rehearsal.acts.count
        _ = try operation(rehearsal).share(
            first, ShareRequest(hosts: ["nqn.2014-08.org.example:a"]))
        for act in start..<rehearsal.acts.count {
            let (host, namespace) = try machine()
            host.failingAct = act
            let name = rehearsal.acts[act]
            guard !name.hasPrefix("mount") else { continue }
            let error = #expect(throws: IopmemError.self, "\(name)") {
                try operation(host).share(
                    namespace, ShareRequest(hosts: ["nqn.2014-08.org.example:a"]))
            }
            #expect(error?.message.isEmpty == false)
            #expect(try operation(host).shares().isEmpty, "after \(name)")
            #expect(
                ((try? host.root.entries("\(target)/subsystems")) ?? []).isEmpty, "after \(name)")
            #expect(((try? host.root.entries("\(target)/ports")) ?? []).isEmpty, "after \(name)")
            #expect(!host.root.exists("/etc/iopmem/shares/\(namespace.uuid).conf"))
        }
    }

    @Test("what is mounted here, and what is no disk, is refused")
    func refusals() throws {
        let (host, namespace) = try machine()
        try host.tree.write(
            "30 1 259:1 / /data rw - ext4 /dev/iopmem0n1 rw", to: "/proc/self/mountinfo")
        let mounted = #expect(throws: IopmemError.self) {
            try operation(host).share(namespace, ShareRequest())
        }
        #expect(mounted?.exitStatus == 4)
        #expect(mounted?.message.contains("mounted on /data") == true)
        #expect(mounted?.remedy == "umount /data")
        let mapped = try #require(
            try operation(host).create(
                CreateRequest(device: namespace.device, size: .bytes(2 << 20), mode: .devdax)))
        let refused = #expect(throws: IopmemError.self) {
            try operation(host).share(mapped, ShareRequest())
        }
        #expect(refused?.exitStatus == 6)
        #expect(ShareRequest.objection(toHost: "nqn.a/b") != nil)
        #expect(ShareRequest.objection(toHost: "host") != nil)
        #expect(ShareRequest.objection(toHost: "nqn.2014-08.org.example:a") == nil)
    }

    @Test("a namespace that went and came back is exported anew, from what is written down")
    func comesBack() throws {
        let (host, namespace) = try machine()
        _ = try operation(host).share(namespace, ShareRequest(port: 4430))
        // Its card went: the target keeps a dead node.
        let directory = try #require(host.root.realPath("/sys/class/iopmem/iopmem0n1"))
        try host.tree.write("0", to: "\(directory)/openers")
        let made = try #require(try operation(host).shareAgain(namespace.uuid))
        #expect(made.port == 4430)
        #expect(try again(namespace, host).openers == 1)
        try host.tree.write(
            "[share]\naddress = ::1\nport = x\nhosts = any",
            to: "/etc/iopmem/shares/\(namespace.uuid).conf")
        let error = #expect(throws: IopmemError.self) {
            try operation(host).shareAgain(namespace.uuid)
        }
        #expect(
            error?.message.contains(":3:8: port = x: expected 4420") == true,
            "\(error?.message ?? "")")
    }

    private func machine() throws -> (SimulatedHost, Namespace) {
        let host = try SimulatedHost()
        try host.bindToIopmem(card)
        let address = try #require(PCIAddress(card))
        let made = try operation(host).create(
            CreateRequest(device: address, size: .bytes(64 << 20), mode: .raw, map: nil))
        return (host, try #require(made))
    }

    private func again(_ namespace: Namespace, _ host: SimulatedHost) throws -> Namespace {
        try #require(try Inventory(root: host.root).namespaces.first { $0.uuid == namespace.uuid })
    }

    private func operation(_ host: SimulatedHost) -> Operation {
        Operation(on: host, telling: RecordingListener())
    }
}
