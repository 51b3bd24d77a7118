// SPDX-License-Identifier: GPL-2.0

import Glibc
import Testing
import VMLab

/// Memory that the hardware reports as bad.
///
///     root complex ─── card0   256 MiB   file systems, and a disk without one
@Suite("Media errors")
struct MediaErrorTests {
    static let topology = Topology(.card("card0", megabytes: 256))

    // The kernel looks at a machine check as the processor's maker wants it.
    static let checked: Topology = {
        var topology = Topology(.card("card0", megabytes: 64))
        topology.processor = "Skylake-Server"
        return topology
    }()

    @Test("what a machine check finds is EIO until it is overwritten", arguments: Kernel.supported)
    func machineCheck(on kernel: Kernel) async throws {
        try await scenario(Self.checked, on: kernel) { machine in
            let guest = machine.guest
            let disk = try await machine.create(on: "card0", "--size 4M")
            let mapped = try await machine.create(on: "card0", "--size 4M --mode devdax")
            func find(_ namespace: Namespace, at offset: UInt64) async throws {
                let start = try await guest.run(
                    "cat /sys/class/iopmem/\(namespace.dev)/physical_address"
                ).output
                let address = try #require(UInt64(start.dropFirst(2), radix: 16)) + offset
                try await machine.machineCheck(at: address)
                try await guest.run(
                    """
                    until grep -qx 8 /sys/class/iopmem/\(namespace.dev)/bad_blocks; do sleep 0.1; done
                    """, within: 30)
            }
            // The last page is the one that a flush reads back.
            for (namespace, flag) in [(disk, "direct"), (mapped, "fullblock")] {
                for page in [2, namespace.size / 4096 - 1] {
                    try await machine.step("page \(page) of \(namespace.mode)") {
                        try await find(namespace, at: UInt64(page) << 12)
                        let read = try await guest.run(
                            "dd if=\(namespace.path) of=/dev/null bs=4k skip=\(page) count=1"
                                + " iflag=\(flag)", status: 1)
                        #expect(read.errors.contains("Input/output error"))
                        // The kernel has taken it out of its own mapping, by which it is written.
                        try await guest.run(
                            """
                            dd if=/dev/zero of=\(namespace.path) bs=4k seek=0 count=1 conv=notrunc,fsync
                            dd if=/dev/zero of=\(namespace.path) bs=4k seek=\(page) count=1 conv=notrunc \
                                oflag=\(flag == "direct" ? flag : "sync")
                            grep -qx 0 /sys/class/iopmem/\(namespace.dev)/bad_blocks
                            dd if=\(namespace.path) of=/dev/null bs=4k skip=\(page) count=1 iflag=\(flag)
                            """)
                    }
                }
            }
            try await machine.step("a bad one is destroyed") {
                for namespace in [disk, mapped] {
                    try await find(namespace, at: 4096)
                    try await guest.run("iopmemctl destroy \(namespace.dev) --yes --zero")
                }
            }
        }
    }

    @Test("poison is EIO and SIGBUS until it is overwritten", arguments: Kernel.supported)
    func poison(on kernel: Kernel) async throws {
        try await scenario(
            Self.topology, on: kernel, preparation: try .debugDriver()
        ) { machine in
            let guest = machine.guest
            try await machine.startMonitor()
            let files = try await machine.create(on: "card0", "--size 192M")
            let disk = try await machine.create(on: "card0", "--size 2M --mode raw")
            let badBlocks = "/sys/block/\(files.dev)/badblocks"

            try await machine.step("a page of a file is found bad") {
                try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
                try await guest.run("dd if=/dev/urandom of=/run/files/data bs=4k count=16")
                try await guest.run("sync && test -z \"$(cat \(badBlocks))\"")
                let said = try await guest.run("iopmem-guest poison /run/files/data 8192").output
                #expect(said == "poisoned")
                let listed = try await guest.run("cat \(badBlocks)").output
                #expect(listed.hasSuffix(" 8"), "the disk lists \(listed)")
                let count = try await guest.run(
                    "cat /sys/class/iopmem/\(files.dev)/bad_blocks"
                ).output
                #expect(count == "8")
                let metrics = try await guest.run("iopmemctl metrics").output
                #expect(
                    metrics.contains(
                        "iopmem_namespace_bad_blocks{namespace=\"\(files.dev)\",uuid=\"\(files.uuid)\"} 8\n"
                    ))
                let told = try await machine.events().filter { $0.event == "media-error" }
                #expect(told.map(\.dev) == [files.dev])
                #expect(told.map(\.uuid) == [files.uuid])
                #expect(told.map(\.bad_blocks) == [8])
            }
            try await machine.step("whoever reads it hears so, its neighbours are readable") {
                let reads = try await guest.run(
                    "dd if=/run/files/data of=/dev/null bs=4k skip=2 count=1", status: 1)
                #expect(reads.errors.contains("Input/output error"))
                let loaded = try await guest.run("iopmem-guest load /run/files/data 8192").output
                #expect(loaded == "SIGBUS")
                for neighbour in [1, 3] {
                    try await guest.run(
                        "dd if=/run/files/data of=/dev/null bs=4k skip=\(neighbour) count=1")
                }
                let block = try await guest.run("cut -d' ' -f1 \(badBlocks)").output
                let raw = try await guest.run(
                    "dd if=\(files.path) of=/dev/null bs=512 skip=\(block) count=1 iflag=direct",
                    status: 1)
                #expect(raw.errors.contains("Input/output error"))
            }
            try await machine.step("writing the page makes it good again") {
                try await guest.run(
                    "dd if=/dev/zero of=/run/files/data bs=4k seek=2 count=1 conv=notrunc,fsync")
                try await guest.run("test -z \"$(cat \(badBlocks))\"")
                let loaded = try await guest.run("iopmem-guest load /run/files/data 8192").output
                #expect(loaded == "0")
                try await guest.run("umount /run/files")
            }
            try await machine.step("xfs knows whose page it was, and tells them") {
                try await reverseMap(files, machine)
            }
            try await machine.step("a page that programs map themselves") {
                let mapped = try await machine.create(on: "card0", "--size 4M --mode devdax")
                func loaded(_ offset: Int) async throws -> String {
                    try await guest.run("iopmem-guest load \(mapped.path) \(offset)").output
                }
                for way in ["poison", "inject"] {
                    try await guest.run(
                        "tr '\\000' '\\007' </dev/zero | dd of=\(mapped.path) bs=1M count=4 iflag=fullblock"
                    )
                    // Somebody has it mapped already, by a large page.
                    try await guest.run(
                        """
                        cd /run
                        : >scribble.out
                        setsid iopmem-guest scribble \(mapped.path) >scribble.out 2>&1 &
                        until grep -q scribbling scribble.out; do sleep 0.1; done
                        """)
                    if way == "poison" {
                        try await guest.run("iopmem-guest poison \(mapped.path) 8192")
                    } else {
                        try await guest.run(
                            "iopmemctl inject-error \(mapped.dev) --offset 8K --length 512")
                    }
                    try await guest.run(
                        """
                        while pgrep -x iopmem-guest >/dev/null; do sleep 0.1; done
                        tail -n 1 /run/scribble.out | grep -qx SIGBUS
                        """, within: 60)
                    #expect(try await loaded(8192) == "SIGBUS")
                    #expect(try await loaded(4096) != "SIGBUS")
                    #expect(try await loaded(12288) != "SIGBUS")
                    let read = try await guest.run(
                        "dd if=\(mapped.path) of=/dev/null bs=4k skip=2 count=1", status: 1)
                    #expect(read.errors.contains("Input/output error"))
                    try await guest.run(
                        "dd if=/dev/zero of=\(mapped.path) bs=4k seek=2 count=1")
                    #expect(try await loaded(8192) == "0")
                }
                try await guest.run("iopmemctl destroy \(mapped.dev) --yes")
            }
            try await machine.step("injected errors, on a disk without pages") {
                try await guest.run(
                    "iopmemctl inject-error \(disk.dev) --offset 4K --length 1K")
                let reads = try await guest.run(
                    "dd if=\(disk.path) of=/dev/null bs=4k skip=1 count=1 iflag=direct", status: 1)
                #expect(reads.errors.contains("Input/output error"))
                try await guest.run(
                    "dd if=\(disk.path) of=/dev/null bs=512 skip=10 count=1 iflag=direct")
                // Half of it is written, half of it is good.
                try await guest.run(
                    "dd if=/dev/zero of=\(disk.path) bs=512 seek=8 count=1 oflag=direct")
                let listed = try await guest.run("cat /sys/block/\(disk.dev)/badblocks").output
                #expect(listed == "9 1")
                try await guest.run("blkdiscard --force --zeroout \(disk.path)")
                try await guest.run("test -z \"$(cat /sys/block/\(disk.dev)/badblocks)\"")
            }
            try await machine.step("what cannot be injected is refused") {
                let beyond = try await machine.refused(
                    64, "iopmemctl inject-error \(disk.dev) --offset 2M --length 512")
                #expect(beyond.contains("2097152"))
                // The kernel's list is one page: 512 ranges of at most 256 KiB.
                let full = try await machine.refused(
                    1, "iopmemctl inject-error \(files.dev) --offset 0 --length 192M --force")
                #expect(full.contains("full"))
                try await guest.run("test -z \"$(cat \(badBlocks))\"")
                try await guest.run("iopmemctl unbind \(disk.device)")
            }
        }
    }

    /// A file system that takes part in it (dax_holder_ops) and can say which files use a page: xfs with
    /// a reverse mapping.
    private func reverseMap(_ files: Namespace, _ machine: Machine) async throws {
        let guest = machine.guest
        // Else the kernel tells only who hit it (task_early_kill() in mm/memory-failure.c).
        let early = "/proc/sys/vm/memory_failure_early_kill"
        try await guest.run(
            """
            echo 1 >\(early)
            wipefs --quiet --all \(files.path)
            mkfs.xfs -q --unsupported -m reflink=0,rmapbt=1 \(files.path)
            mount -o dax=always \(files.path) /run/files
            dd if=/dev/urandom of=/run/files/data bs=4k count=16 conv=fsync
            """)
        let place = try await guest.run(
            "filefrag -s -v -b4096 /run/files/data | awk '$1 == \"0:\" { print $4 * 4096 }'"
        ).output
        for (way, cause) in [
            ("poison", "iopmem-guest poison /run/files/data 0"),
            ("inject", "iopmemctl inject-error \(files.dev) --offset \(place) --length 4K --force"),
        ] {
            // One who has it mapped, and does nothing: the signal is xfs's doing.
            let ended = try await guest.run(
                """
                cd /run
                rm -f ended
                : >hold.out
                (set +e; iopmem-guest hold files/data >hold.out; echo $? >ended) >/dev/null 2>&1 &
                until grep -q mapped hold.out; do sleep 0.1; done
                \(cause) >/dev/null
                until [ -e ended ]; do sleep 0.1; done
                cat ended
                """, within: 60
            ).output
            #expect(ended == "\(128 + SIGBUS)", "\(way): it ended with \(ended)")
            let loaded = try await guest.run("iopmem-guest load /run/files/data 0").output
            #expect(loaded == "SIGBUS", "\(way): a load gave \(loaded)")
            let neighbour = try await guest.run("iopmem-guest load /run/files/data 4096").output
            #expect(neighbour != "SIGBUS", "\(way)")
            let reads = try await guest.run(
                "dd if=/run/files/data of=/dev/null bs=4k count=1", status: 1)
            #expect(reads.errors.contains("Input/output error"), "\(way)")
            try await guest.run(
                """
                dd if=/dev/zero of=/run/files/data bs=4k count=1 conv=notrunc,fsync
                test -z "$(cat /sys/block/\(files.dev)/badblocks)"
                """)
            #expect(try await guest.run("iopmem-guest load /run/files/data 0").output == "0")
        }
        // What is nobody's file is the file system's own.
        try await guest.run(
            """
            iopmemctl inject-error \(files.dev) --offset 0 --length 4K --force
            \(Guest.kernelLog) | grep 'XFS (\(files.dev)).*Shutting down'
            if touch /run/files/more; then exit 1; fi
            umount /run/files
            echo 0 >\(early)
            blkdiscard --force --zeroout \(files.path)
            test -z "$(cat /sys/block/\(files.dev)/badblocks)"
            """)
    }
}
