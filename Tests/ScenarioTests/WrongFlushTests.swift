// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// That the checks of ``FlushTests`` can fail: drivers whose flush is less than it says.
///
/// On one kernel: what is tried here are the checks, and they are the same on each.
@Suite("Wrong flushes")
struct WrongFlushTests {
    private static func run(
        _ name: String, signature: String, body: String,
        _ act: (Machine) async throws -> Void
    ) async throws {
        try await Machine.run(
            FlushTests.topology, kernel: Kernel.named("6.12"), name: name,
            preparation: .wrongDriver(name, signature: signature, body: body), act)
    }

    private static func fails(
        _ check: FlushCheck, _ way: FlushCheck.Way, on machine: Machine
    ) async throws {
        let failure = await #expect(throws: FlushCheck.Failure.self, "\(way) on \(check.file)") {
            try await check.demand([way], on: machine)
        }
        // For this reason, and for no other.
        #expect(failure?.description.contains("only 0 flushes were counted") == true)
    }

    @Test("a driver whose flush does nothing is found out")
    func emptyFlush() async throws {
        try await Self.run(
            "emptyFlush", signature: "int iopmem_flush(struct iopmem_namespace *ns)",
            body: "\treturn 0;"
        ) { machine in
            let namespace = try await machine.create(on: "card0", "--size 64M")
            for fileSystem in FileSystem.allCases {
                try await machine.guest.run(fileSystem.mount(namespace.path, at: "/run/files"))
                try await machine.guest.run("fallocate -l 1M /run/files/file")
                let check = FlushCheck(dev: namespace.dev, file: "/run/files/file")
                for way in FlushCheck.Way.onFiles {
                    try await Self.fails(check, way, on: machine)
                }
                try await machine.guest.run(
                    "umount /run/files && wipefs --quiet --all \(namespace.path)")
            }
            let check = FlushCheck(dev: namespace.dev, file: namespace.path)
            try await Self.fails(check, .direct, on: machine)
        }
    }

    @Test("a driver that counts flushes and reads nothing back is found out")
    func countedOnly() async throws {
        try await Self.run(
            "countedFlush",
            signature: "int iopmem_read_back(const struct iopmem_device *idev, const u64 *bar)",
            body: "\treturn iopmem_answers(idev) ? 0 : -EIO;"
        ) { machine in
            try await machine.guest.run("modprobe iopmem")
            let failure = await #expect(throws: FlushCheck.Failure.self) {
                try await FlushTests.codeOfFlush(on: machine)
            }
            #expect(failure?.description.contains("no fence") == true)
            let unseen = await #expect(throws: FlushCheck.Failure.self) {
                try await FlushTests.readBacks(on: machine)
            }
            #expect(unseen?.description.contains("0 times a read of the last word") == true)
        }
    }
}
