// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// What the rest of the system may do with a namespace, and what not.
///
///     root complex ─── card0   128 MiB    below 4 GiB, where the platform does not cache
///
///     root complex ─── card0     4 GiB    above, where the firmware lets it cache
@Suite("System")
struct SystemTests {
    static let low = Topology(.card("card0", megabytes: 128))
    static let high = Topology(.card("card0", megabytes: 4096))

    @Test(
        "swap, sleep and unloading are refused, and why is said; cache types are shown",
        arguments: Kernel.supported)
    func decisions(on kernel: Kernel) async throws {
        try await scenario(Self.low, on: kernel) { machine in
            let guest = machine.guest
            let disk = try await machine.create(on: "card0", "--size 64M")

            try await machine.step("swap") {
                let said = try await guest.run(
                    "mkswap \(disk.path) && swapon \(disk.path)", status: nil)
                #expect(said.status != 0)
                #expect(said.errors.contains("Operation not supported"))
                try await guest.run("! grep -q iopmem /proc/swaps")
                try await guest.run(
                    "\(Guest.kernelLog) | grep '\(disk.dev): swap is refused'")
                try await guest.run("wipefs --quiet --all \(disk.path)")
            }
            try await machine.step("unloading the module and sleep, while it is open") {
                try await guest.run(FileSystem.ext4.mount(disk.path, at: "/run/files"))
                let unload = try await guest.run("rmmod iopmem", status: 1)
                #expect(unload.errors.contains("in use"))
                // Refused before any device is stopped, or the machine would not answer any more.
                let sleep = try await guest.run("echo freeze >/sys/power/state", status: 1)
                #expect(sleep.errors.contains("Device or resource busy"))
                let reason = try await guest.run(
                    "\(Guest.kernelLog) | grep 'the machine may not sleep'"
                ).output
                #expect(reason.contains(disk.dev))
                #expect(reason.contains("mount["))
            }
            try await machine.step("the device stays awake, whatever is asked for") {
                let power = "/sys/bus/pci/devices/\(disk.device)/power"
                try await guest.run("echo auto >\(power)/control")
                try await guest.run("dd if=\(disk.path) of=/dev/null bs=1M count=4 iflag=direct")
                let status = try await guest.run("cat \(power)/runtime_status").output
                #expect(status == "active")
            }
            try await machine.step("I/O is accounted for") {
                let sectors = try await guest.run(
                    "awk '{print $3}' /sys/block/\(disk.dev)/stat"
                ).output
                #expect(try #require(Int(sectors)) >= 8192)
            }
            try await machine.step("a driver that users have injects no errors") {
                let said = try await machine.refused(
                    6, "iopmemctl inject-error \(disk.dev) --offset 0 --length 512 --force")
                #expect(said.contains("IOPMEM_DEBUG=1"), "\(said)")
            }
            try await machine.step("unused, the module can go, and takes everything with it") {
                try await guest.run(
                    "umount /run/files && wipefs --quiet --all \(disk.path) && rmmod iopmem")
                try await guest.run("! grep -q iopmem /proc/iomem && ! ls /dev/iopmem* 2>&-")
            }
            try await checkCacheTypes(on: machine, platform: "uc-", kernel)
        }
    }

    @Test("a BAR that the platform caches is called a problem", arguments: Kernel.supported)
    func cached(on kernel: Kernel) async throws {
        try await scenario(Self.high, on: kernel) { machine in
            try await checkCacheTypes(on: machine, platform: "wb", kernel)
        }
    }

    /// Of a program that writes to the first page of a file or node; with `uc` behind its path, by
    /// an uncached mapping.
    private func entry(of words: String, on machine: Machine) async throws -> PageTableEntry {
        let address = try await machine.guest.run(
            """
            rm -f /run/spin.out
            setsid iopmem-guest spin \(words) >/run/spin.out 2>&1 &
            until test -s /run/spin.out; do sleep 0.1; done
            cat /run/spin.out
            """
        ).output
        let entry = try await machine.pageTableEntry(
            at: try #require(UInt64(address, radix: 16), "it said \(address)"))
        try await machine.guest.run(
            "pkill -KILL -x iopmem-guest; while pgrep -x iopmem-guest; do sleep 0.1; done")
        return entry
    }

    /// That they are those of the page tables.
    private func checkCacheTypes(
        on machine: Machine, platform: String, _ kernel: Kernel
    ) async throws {
        let guest = machine.guest
        // Newer kernels insert DAX pages with the mapping's own type.
        let user = kernel.series.hasPrefix("6.") ? "wc" : "wb"
        let device = try await machine.function("card0").address
        let isCached = platform == "wb"
        let said = try await guest.run(
            "modprobe iopmem && iopmemctl create --device \(device) --size 64M"
        ).errors
        #expect(said.contains("cache") == isCached, "create said \(said)")
        let namespace = try #require(try await machine.list().namespaces.first)
        func expect(_ type: String, in attribute: String, of object: String) async throws {
            let read = try await guest.run("cat /sys/class/iopmem/\(object)/\(attribute)").output
            #expect(read == type, "\(attribute) of \(object)")
        }
        try await machine.step("where the platform says \(platform)") {
            try await expect(platform, in: "cache_platform", of: namespace.region)
            try await expect("wc", in: "cache_kernel", of: namespace.dev)
            try await expect(user, in: "cache_user", of: namespace.dev)
        }
        try await machine.step("a file's entry in a program's page table says so too") {
            try await guest.run(
                """
                mkfs.ext4 -q -F -b 4096 \(namespace.path)
                mkdir -p /run/files
                mount -o dax=always \(namespace.path) /run/files
                fallocate -l 2M /run/files/mapped
                """)
            #expect(
                try await entry(of: "/run/files/mapped", on: machine).cacheType == user)
            try await guest.run("umount /run/files")
        }
        try await machine.step("those of a devdax node are as their maker asked") {
            let rings = try await machine.create(on: "card0", "--mode devdax --size 2M")
            try await expect("wc", in: "cache_user", of: rings.dev)
            for (words, type) in [(rings.path, "wc"), (rings.path + " uc", "uc-")] {
                let found = try await entry(of: words, on: machine)
                #expect(found.cacheType == type)
                let start = try #require(try await machine.function("card0").bars[2]).lowerBound
                #expect(found.physical == start + UInt64(rings.offset))
            }
        }
        try await machine.step("the kernel's own list says that the BAR is write-combining") {
            try await guest.run(
                "mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug")
            let list = try await guest.run("cat /sys/kernel/debug/x86/pat_memtype_list").output
            let address = try await guest.run(
                "sed s/0x// /sys/class/iopmem/\(namespace.region)/physical_address"
            ).output
            let entry = list.split(separator: "\n").first { $0.contains(address) }
            #expect(entry?.contains("write-combining") == true, "\(address) in \(list)")
        }
        try await machine.step("a device that does not answer is noticed, cached or not") {
            let read = "dd if=\(namespace.path) of=/dev/null bs=4k count=1 iflag=direct"
            try await guest.run(
                """
                dd if=/dev/urandom of=\(namespace.path) bs=4k count=1 iflag=fullblock oflag=direct
                \(read)
                setpci -s \(device) COMMAND=0:2
                """)
            let errors = try await guest.run(read, status: 1).errors
            #expect(errors.contains("Input/output error"), "a read said \(errors)")
            let flush = "iopmem-guest sync fsync \(namespace.path) 1"
            #expect(try await guest.run(flush).output == "EIO")
            try await guest.run("setpci -s \(device) COMMAND=2:2 && \(read)")
            #expect(try await guest.run(flush).output == "OK")
        }
        try await machine.step("doctor calls a cached mapping a problem, and nothing else") {
            let doctor = try await guest.run("iopmemctl doctor \(device) -o json", status: nil)
            let report: DoctorReport = try doctor.json()
            let finding = report.checks.first { $0.id.contains("cache") }
            #expect((finding?.status == "problem") == isCached, "\(doctor.output)")
            try await guest.run("iopmemctl unbind \(device)")
        }
    }

    private struct DoctorReport: Decodable {
        let checks: [Check]

        struct Check: Decodable {
            let id: String
            let status: String
        }
    }
}
