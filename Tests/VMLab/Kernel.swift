// SPDX-License-Identifier: GPL-2.0

import Glibc

/// A kernel that scenarios run on.
public struct Kernel: Sendable, Hashable, CustomStringConvertible {
    /// Names it: the upstream series, as `6.12`, of which the lab takes the newest that the archive
    /// offers; with `-debug` behind it for a kernel that looks for bugs.
    public let series: String
    /// The Debian release whose archive has it and whose compiler builds it.
    public let release: DebianRelease
    /// The series whose source the lab builds it from; nil where the archive has it built.
    let sourceSeries: String?

    /// The series; it names the kernel in the list of tests.
    public var description: String { series }

    /// One more kernel is one more line.
    public static let all = [
        Kernel(series: "6.1", release: .bookworm),
        Kernel(series: "6.12", release: .bookworm),
        Kernel(series: "7.2", release: .trixie),
        Kernel(series: "6.12-debug", release: .bookworm, sourceSeries: "6.12"),
    ]

    /// The kernels that every scenario runs on: those that users have, or those in the environment
    /// variable `IOPMEM_KERNELS`, separated by commas.
    public static let supported: [Kernel] = {
        guard let chosen = getenv("IOPMEM_KERNELS").map({ String(cString: $0) }), !chosen.isEmpty
        else { return all.filter { !$0.looksForBugs } }
        do {
            return try chosen.split(separator: ",").map { try named(String($0)) }
        } catch {
            fatalError("IOPMEM_KERNELS=\(chosen): \(error)")
        }
    }()

    /// This kernel's share of many variants of one thing: the first of them on every kernel, and of the
    /// others those whose turn it is, so that the kernels of a run try all of them together. A run on
    /// one kernel, and any with `IOPMEM_WHOLE` in its environment, tries all of them on each.
    ///
    /// It is for variants whose outcome depends on the kernel hardly at all; a whole product takes
    /// `make test` beyond its 45 minutes, and is what `make test-all` is for.
    public func share<Variant>(of variants: [Variant]) -> [Variant] {
        Self.share(
            of: variants, for: Self.supported.firstIndex(of: self) ?? 0,
            among: Self.triesAll ? 1 : Self.supported.count)
    }

    /// The share of one of so many kernels.
    static func share<Variant>(
        of variants: [Variant], for index: Int, among count: Int
    ) -> [Variant] {
        guard count > 1 else { return variants }
        return variants.prefix(1)
            + variants.dropFirst().enumerated().filter { $0.offset % count == index }.map(\.element)
    }

    private static let triesAll = getenv("IOPMEM_WHOLE") != nil

    /// The kernel with this name.
    public static func named(_ series: String) throws -> Kernel {
        if let kernel = all.first(where: { $0.series == series }) { return kernel }
        throw LabError(
            "there is no kernel \(series) in the lab",
            remedy: "choose one of \(all.map(\.series).joined(separator: ", "))")
    }

    private init(series: String, release: DebianRelease, sourceSeries: String? = nil) {
        self.series = series
        self.release = release
        self.sourceSeries = sourceSeries
    }

    /// Whether it is built with what finds bugs: KASAN, lockdep, kmemleak, fault injection and more.
    public var looksForBugs: Bool { sourceSeries != nil }

    /// How many times longer everything may take in it than in an ordinary kernel. Every time limit of
    /// the lab is multiplied by it.
    public var slowness: Int { looksForBugs ? 4 : 1 }

    /// MiB of RAM that its machines get, out of those that a scenario wants. A scan for leaks looks at
    /// every word of it, and at the description of every page.
    func memory(wanted: Int) -> Int { looksForBugs ? min(wanted, 1536) : wanted }

    /// For its command line. Being preemptible everywhere opens windows that races need; its functions
    /// are where ``Machine/addresses(of:)`` says. Page tables of five levels are left alone: while the
    /// kernel identifies a processor it forgets for a moment that there are five, and an interrupt in
    /// that moment is a report of KASAN's (arch/x86/kernel/cpu/common.c, identify_cpu()).
    var arguments: [String] {
        looksForBugs
            ? [
                "preempt=full", "nokaslr", "no5lvl",
                "rcupdate.rcu_cpu_stall_timeout=\(60 * slowness)",
            ]
            : []
    }
}

/// A Debian release: where a kernel's packages are, and the root in which its modules are built.
public struct DebianRelease: Sendable, Hashable {
    /// As in the archive's folder names.
    public let codename: String
    /// The suites to look in besides the release itself; an archive may lack them.
    let optionalSuites: [String]
    /// The compiler that built its kernels.
    let compiler: String
    /// What building a kernel itself takes besides, and looking at the driver's source.
    let kernelTools = [
        "bc", "bison", "flex", "libc6-dev", "libelf-dev", "perl", "python3", "sparse", "xz-utils",
        "zstd",
    ]

    /// Debian 12.
    public static let bookworm = DebianRelease(
        codename: "bookworm", optionalSuites: ["bookworm-security", "bookworm-backports"],
        compiler: "gcc-12")
    /// Debian 13.
    public static let trixie = DebianRelease(
        codename: "trixie", optionalSuites: ["trixie-security", "trixie-backports"],
        compiler: "gcc-14")
}
