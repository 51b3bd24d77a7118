// SPDX-License-Identifier: GPL-2.0

/// A kernel series that the driver supports and every scenario runs on.
public struct Kernel: Sendable, Hashable, CustomStringConvertible {
    /// The upstream series, as `6.12`; the lab takes the newest of it that the archive offers.
    public let series: String
    /// The Debian release whose archive has it and whose compiler built it.
    public let release: DebianRelease

    /// The series; it names the kernel in the list of tests.
    public var description: String { series }

    /// One more kernel is one more line.
    public static let supported = [
        Kernel(series: "6.1", release: .bookworm),
        Kernel(series: "6.12", release: .bookworm),
        Kernel(series: "7.2", release: .trixie),
    ]

    /// The supported kernel with this series.
    public static func named(_ series: String) throws -> Kernel {
        if let kernel = supported.first(where: { $0.series == series }) { return kernel }
        throw LabError(
            "there is no kernel \(series) in the lab",
            remedy: "choose one of \(supported.map(\.series).joined(separator: ", "))")
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

    /// Debian 12.
    public static let bookworm = DebianRelease(
        codename: "bookworm", optionalSuites: ["bookworm-security", "bookworm-backports"],
        compiler: "gcc-12")
    /// Debian 13.
    public static let trixie = DebianRelease(
        codename: "trixie", optionalSuites: ["trixie-security", "trixie-backports"],
        compiler: "gcc-14")
}
