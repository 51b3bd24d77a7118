// SPDX-License-Identifier: GPL-2.0

import Synchronization
import SystemPackage

/// A Debian with our packages installed, on a disk of its own: its own kernel with a module that DKMS
/// built, its own initramfs, systemd and udev. Nothing of the build tree is in it but the lab's agent.
///
///     disk          ext4, a copy-on-write layer over an image that all machines share
///     /boot   9p    a folder on the host, where QEMU finds what the guest has made there
struct InstalledSystem: Sendable {
    /// The image that layers are made over.
    let image: FilePath
    /// What /boot has at first.
    let boot: FilePath
    /// The release of its kernel.
    let kernel: String

    /// What a bare Debian lacks, with what our packages depend on, since nothing is downloaded when
    /// they are installed. The headers' package brings a compiler, which DKMS wants; with openssl it
    /// signs what it builds.
    private static let packages = [
        "dbus", "dkms", "e2fsprogs", "initramfs-tools", "kmod", "libpci3", "libxxhash0",
        "openssl", "systemd-sysv", "udev", "zstd",
    ]
    /// GiB of the disk; the image is sparse.
    private static let size = 3

    /// What this process has made: a machine that boots again has a disk over the same image,
    /// whatever has become of the source meanwhile.
    private static let made = Mutex<[String: InstalledSystem]>([:])

    /// Makes it, or finds it made of the same packages. Under the installation's lock.
    static func prepare(_ kernel: KernelPackages, from archive: Archive) async throws
        -> InstalledSystem
    {
        if let system = made.withLock({ $0[kernel.release] }) { return system }
        let system = try await make(kernel, from: archive)
        made.withLock { $0[kernel.release] = system }
        return system
    }

    private static func make(_ kernel: KernelPackages, from archive: Archive) async throws
        -> InstalledSystem
    {
        let debs = try await buildPackages()
        let base = try await base(kernel, from: archive)
        var digest = Digest()
        digest.add(base.string)
        for deb in debs { digest.add(try Files.read(deb)) }
        for text in [modules, mounts, installation, agentService] { digest.add(text) }
        digest.add(try Files.read(agent))
        let systems = Layout.cache.appending("systems")
        let folder = systems.appending("\(archive.release.codename)-\(digest.hex)")
        let system = InstalledSystem(
            image: folder.appending("disk.img"), boot: folder.appending("boot"),
            kernel: kernel.release)
        if Files.exists(folder) { return system }
        try Files.makeDirectory(systems)
        for name in Files.names(in: systems) where name.hasPrefix(archive.release.codename) {
            try await DebianRoot.remove(systems.appending(name))
        }
        let name = archive.release.codename
        try await Progress.during("installing our packages in a Debian \(name) root") {
            let unfinished = systems.appending("\(name)-unfinished")
            try await install(debs, in: base, at: unfinished)
            try Files.rename(unfinished, to: folder)
        }
        return system
    }

    /// By the command that users have for it.
    private static func buildPackages() async throws -> [FilePath] {
        let folder = Layout.cache.appending("deb")
        var digest = Digest()
        for part in ["Makefile", "debian", "kmod", "man", "systemd", "udev"] {
            let listing = try await HostCommand.run(
                "find",
                [
                    Layout.repository.appending(part).string, "-type", "f", "-not", "-name", "*.o",
                    "-printf", "%p %s %T@\\n",
                ], purpose: "look at \(part)")
            digest.add(listing.split(separator: "\n").sorted().joined(separator: "\n"))
        }
        digest.add(try Files.read(Layout.tools.appending("iopmemctl")))
        let record = folder.appending("made-of")
        if (try? Files.text(record)) != digest.hex {
            _ = try await Progress.during("making Debian packages") {
                try await HostCommand.run(
                    "make", ["-C", Layout.repository.string, "deb"], purpose: "make the packages")
            }
            try Files.write(digest.hex, to: record)
        }
        return Files.names(in: folder).filter { $0.hasSuffix(".deb") && !$0.contains("-dbgsym_") }
            .map { folder.appending($0) }
    }

    /// A root with everything but our packages.
    private static func base(_ kernel: KernelPackages, from archive: Archive) async throws
        -> FilePath
    {
        let codename = archive.release.codename
        var all = packages + ["linux-image-", "linux-headers-"].map { $0 + kernel.release }
        // A kernel of the backports wants what goes with it from there, and apt takes nothing from
        // there that it is not told to.
        if kernel.version.contains("~bpo") { all.append("linux-base/\(codename)-backports") }
        return try await DebianRoot.prepare(
            archive, "installed-\(codename)", packages: all,
            versions: [kernel.version], variant: "minbase", to: "install our packages in")
    }

    /// Installs as an administrator would, and turns the root into a disk and a /boot.
    private static func install(
        _ debs: [FilePath], in base: FilePath, at folder: FilePath
    ) async throws {
        let root = folder.appending("root")
        try await DebianRoot.remove(folder)
        try Files.makeDirectory(folder)
        try await HostCommand.run(
            "cp", ["--archive", base.string, root.string], purpose: "copy \(base)")
        try Files.makeDirectory(root.appending("packages"))
        for deb in debs {
            try await HostCommand.run(
                "cp", [deb.string, root.appending("packages").string], purpose: "copy \(deb)")
        }
        // As much as boots and as the scenario asks for: a guest takes minutes for more.
        let initramfs = root.appending("etc/initramfs-tools")
        try Files.write("MODULES=list\n", to: initramfs.appending("conf.d/lab"))
        try Files.write(modules, to: initramfs.appending("modules"))
        let outcome = try await DebianRoot.run(installation, in: root)
        if !outcome.succeeded {
            throw LabError(
                "our packages cannot be installed", evidence: outcome.output.lastLines(25))
        }
        try Files.write(mounts, to: root.appending("etc/fstab"))
        try Files.makeDirectory(root.appending("lab"))
        try await HostCommand.run(
            "cp", [agent.string, root.appending("lab/agent").string], purpose: "copy the agent")
        let units = root.appending("etc/systemd/system")
        try Files.write(agentService, to: units.appending("lab-agent.service"))
        try Files.makeDirectory(units.appending("multi-user.target.wants"))
        try await HostCommand.run(
            "ln",
            [
                "-s", "../lab-agent.service",
                units.appending("multi-user.target.wants/lab-agent.service").string,
            ], purpose: "enable the agent")
        try Files.rename(root.appending("boot"), to: folder.appending("boot"))
        try Files.makeDirectory(root.appending("boot"))
        try await HostCommand.run(
            "mke2fs",
            [
                "-q", "-t", "ext4", "-d", root.string, folder.appending("disk.img").string,
                "\(size)G",
            ], purpose: "make a disk")
        try await DebianRoot.remove(root)
    }

    private static let modules = "virtio_pci\nvirtio_blk\next4\nnvme\n"

    private static let mounts = """
        /dev/vda / ext4 defaults 0 1
        boot /boot 9p trans=virtio,version=9p2000.L,msize=262144 0 0

        """

    private static let installation = """
        mount -t proc proc "$1/proc"
        chroot "$1" sh -ec 'export DEBIAN_FRONTEND=noninteractive
            apt-get install --yes /packages/*.deb
            update-initramfs -u -k all
            # The module must be there for the kernel that is going to run.
            for kernel in /lib/modules/*; do modinfo -k "${kernel##*/}" iopmem; done'
        """

    /// In there it has another name: what bears ours is looked for when the packages are gone.
    private static let agent = Layout.tools.appending("iopmem-agent")

    /// The agent as a service, which waits for its port.
    private static let agentService = """
        [Unit]
        Description=The lab's agent
        StartLimitIntervalSec=0

        [Service]
        ExecStart=/lab/agent /nowhere
        Restart=always
        RestartSec=1
        # What it starts is not the agent.
        KillMode=process

        """

    // MARK: - A machine with it

    /// Makes a disk of its own for a machine, where it has none yet.
    func prepare(_ storage: Storage) async throws {
        if Files.exists(storage.disk) { return }
        try await HostCommand.run(
            "cp", ["--archive", boot.string, storage.boot.string], purpose: "copy /boot")
        try await HostCommand.run(
            "qemu-img",
            ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", image.string, storage.disk.string],
            purpose: "make a disk")
    }

    /// QEMU's arguments for it, beside those of a topology.
    func arguments(_ storage: Storage, memory: Int, processors: Int, options: [String]) -> [String]
    {
        let line =
            ["root=/dev/vda", "rw", "console=ttyS0", "systemd.show_status=false"] + options
        return [
            "-machine", "q35", "-m", "\(memory)M", "-smp", "\(processors)", "-display", "none",
            "-kernel", storage.boot.appending("vmlinuz-\(kernel)").string,
            "-initrd", storage.boot.appending("initrd.img-\(kernel)").string,
            "-append", line.joined(separator: " "),
            // The pipe that the lab reads.
            "-chardev", "file,id=serial,path=/dev/stderr", "-serial", "chardev:serial",
            "-drive", "file=\(storage.disk),format=qcow2,if=none,id=system,cache=unsafe",
            "-device", "virtio-blk-pci,drive=system",
            "-fsdev", "local,id=boot,path=\(storage.boot),security_model=none,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=boot,mount_tag=boot",
            "-device", "virtio-rng-pci",
        ]
    }
}
