// SPDX-License-Identifier: GPL-2.0

import Synchronization

extension Machine {
    private static let plugged = Atomic(0)

    /// Plugs a card of the topology in again that was unplugged, with what its memory holds, and
    /// returns when udev is done with it. Its address may be another one.
    public func plug(card name: String, into slot: String) async throws {
        var megabytes: Int?
        for case .card(name, let size) in topology.leaves { megabytes = size }
        guard let megabytes else { throw LabError("the topology has no card \(name)") }
        // QEMU cannot give the same memory object to a second device.
        let number = Self.plugged.add(1, ordering: .relaxed).newValue
        let memory = "\(name)-memory-\(number)"
        try await qmp.execute(
            "object-add",
            [
                "qom-type": .string("memory-backend-file"), "id": .string(memory),
                "mem-path": .string("\(storage.card(name))"), "size": .integer(megabytes << 20),
                "share": .boolean(true),
            ])
        try await qmp.plug("ivshmem-plain", id: name, bus: slot, ["memdev": .string(memory)])
        // The vendor's name for the device, in docs/specs/ivshmem-spec.rst of QEMU.
        try await guest.run(
            """
            until grep -q 0x1110 /sys/bus/pci/devices/*/device; do udevadm settle; done
            udevadm settle
            """, within: 60)
    }
}
