// SPDX-License-Identifier: GPL-2.0

import Testing
import VMLab

/// A kernel that takes the place of the one that drives the card, while everything on it is in use.
///
///     root complex ─── card0   128 MiB    a mounted file system, a disk under fio
@Suite("Kexec")
struct KexecTests {
    /// The kernel says on its console what it traces: nothing else of it outlives it.
    static let topology = {
        var topology = Topology(.card("card0", megabytes: 128))
        topology.kernelArguments = ["tp_printk"]
        return topology
    }()

    @Test(
        "what was written is flushed, and the next kernel brings everything back",
        arguments: Kernel.supported)
    func nextKernel(on kernel: Kernel) async throws {
        try await scenario(Self.topology, on: kernel) { machine in
            let guest = machine.guest
            let card = try await machine.function("card0").address
            let (files, disk) = try await machine.step("everything is used") {
                () async throws -> (Namespace, Namespace) in
                try await guest.run(
                    """
                    modprobe iopmem
                    iopmemctl bind \(card) --media persistent
                    iopmemctl labels init \(card)
                    """)
                let files = try await machine.create(
                    on: "card0", "--size 64M --name files --persist")
                let disk = try await machine.create(
                    on: "card0", "--size 16M --mode raw --name disk")
                try await guest.run(FileSystem.ext4.mount(files.path, at: "/run/files"))
                try await guest.run(
                    """
                    seq 100000 >/run/files/numbers
                    sync /run/files/numbers
                    fallocate -l 8M /run/files/mapped
                    setsid nice -n 19 iopmem-guest scribble /run/files/mapped >/run/scribble.out 2>&1 &
                    setsid nice -n 19 fio --name=busy --filename=\(disk.path) --offset=8M --size=8M \
                        --rw=randwrite --bs=4k --direct=1 --ioengine=io_uring --iodepth=8 \
                        --time_based --runtime=1h >/run/fio.out 2>&1 &
                    until grep -q scribbling /run/scribble.out; do sleep 0.2; done
                    seq 1000 | dd of=\(disk.path) bs=64K conv=sync oflag=direct
                    """)
                return (files, disk)
            }
            try await machine.step("another kernel takes over, and nothing was closed before") {
                try await guest.run(Self.makeInitramfs)
                try await guest.run(
                    """
                    cat >/run/next/then <<'EOF'
                    iopmemctl bind \(card) --media persistent
                    iopmemctl restore \(card)
                    mkdir -p /run/files
                    mount -o dax=always \(files.path) /run/files
                    seq 100000 | cmp - /run/files/numbers && echo 'next kernel: the file is whole'
                    seq 1000 | cmp -n 3893 - \(disk.path) && echo 'next kernel: the disk is whole'
                    umount /run/files
                    EOF
                    (cd /run/next && find . | busybox cpio -o -H newc >/run/next.cpio)
                    pgrep -x fio >/dev/null
                    grep -q scribbling /run/scribble.out
                    echo 1 >/sys/kernel/tracing/events/iopmem/iopmem_flush/enable
                    echo 'this kernel: ends' >/dev/kmsg
                    release=$(uname -r)
                    image=$(readlink -f /lib/modules/$release)/../../../boot/vmlinuz-$release
                    iopmem-guest kexec $image /run/next.cpio 'console=ttyS0 card=\(card)'
                    """)
                try await machine.reads("next kernel: ends", on: kernel)
            }
            let last = try machine.console().split(separator: "\n").drop {
                !$0.contains("this kernel: ends")
            }
            func expect(_ text: String) {
                #expect(last.contains { $0.contains(text) }, "it did not say “\(text)”")
            }
            for dev in [files.dev, disk.dev] { expect("iopmem_flush: dev=\(dev)") }
            expect("next kernel: driver none")
            expect("next kernel: the file is whole")
            expect("next kernel: the disk is whole")
            await machine.cutPower()
        }
    }

    /// The next kernel's first system: the modules that it takes to get at this machine's files, where
    /// the programs are, and the driver.
    private static let makeInitramfs = """
        mkdir -p /run/next/bin /run/next/root
        cp /bin/busybox /run/next/bin
        for module in virtio_pci 9pnet_virtio 9p ext4 iopmem; do
            # What is not there is part of the kernel itself.
            ! grep -q "^$module " /proc/modules || modprobe --show-depends $module
        done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' >/run/modules
        mkdir /run/next/modules
        number=100
        for module in $(cat /run/modules); do
            cp $module /run/next/modules/$((number++)).ko
        done
        tag=$(awk '$5 == "/" {print}' /proc/self/mountinfo | sed 's/.* - 9p \\([^ ]*\\) .*/\\1/')
        cat >/run/next/init <<EOF
        #!/bin/busybox sh
        /bin/busybox --install -s /bin
        export PATH=/bin
        mkdir -p /proc /sys /dev
        mount -t proc proc /proc
        mount -t sysfs sysfs /sys
        mount -t devtmpfs devtmpfs /dev
        for module in /modules/*; do insmod \\$module; done
        mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose $tag /root
        for folder in proc sys dev; do mount --bind /\\$folder /root/\\$folder; done
        mount -t tmpfs tmpfs /root/run
        cp /then /root/run/then
        card=\\$(sed 's/.*card=//' /proc/cmdline)
        echo "next kernel: driver \\$(readlink /sys/bus/pci/devices/\\$card/driver || echo none)"
        PATH=$PATH chroot /root /bin/bash -x /run/then
        echo 'next kernel: ends'
        sleep 1000000
        EOF
        chmod +x /run/next/init
        """
}

extension Machine {
    /// Waits until the console says something.
    fileprivate func reads(_ text: String, on kernel: Kernel) async throws {
        for _ in 0..<(180 * kernel.slowness) {
            if try console().contains(text) { return }
            try await Task.sleep(for: .seconds(1))
        }
        throw LabError(
            "the console never said “\(text)”",
            evidence: try console().split(separator: "\n").suffix(40).joined(separator: "\n"))
    }
}
