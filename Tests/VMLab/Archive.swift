// SPDX-License-Identifier: GPL-2.0

import SystemPackage

/// One Debian release's package archive, read with apt in a private state folder, so that neither
/// the host's sources nor its package lists are touched.
struct Archive {
    let release: DebianRelease
    /// Lines for a sources.list, only of suites that the mirror has.
    let sources: [String]
    private let folder: FilePath

    private static let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

    private init(release: DebianRelease, sources: [String], folder: FilePath) {
        self.release = release
        self.sources = sources
        self.folder = folder
    }

    /// The archive as it was found earlier, with its package lists in place.
    init(known sources: [String], of release: DebianRelease) {
        self.init(release: release, sources: sources, folder: Self.folder(of: release))
    }

    private static func folder(of release: DebianRelease) -> FilePath {
        Layout.cache.appending("apt").appending(release.codename)
    }

    /// Finds the release on the mirror that the host itself uses, and fetches its package lists.
    static func open(_ release: DebianRelease) async throws -> Archive {
        let mirror = try await Mirror.ofHost()
        let folder = folder(of: release)
        let offered = ([release.codename] + release.optionalSuites).compactMap { suite in
            mirror.uri(of: suite).map { "deb [signed-by=\(keyring)] \($0) \(suite) main" }
        }
        let all = Archive(release: release, sources: offered, folder: folder)
        if try await all.update().succeeded { return all }
        // An old release's backports move away from the mirrors: find out which suites it has.
        var found: [String] = []
        for (index, line) in offered.enumerated() {
            let one = Archive(release: release, sources: [line], folder: folder)
            let outcome = try await one.update()
            if outcome.succeeded {
                found.append(line)
            } else if index == 0 {
                throw LabError(
                    "cannot read Debian \(release.codename)'s package lists",
                    evidence: outcome.output.lastLines(8),
                    remedy: "check the network and that apt-get update works on this machine")
            }
        }
        return Archive(release: release, sources: found, folder: folder)
    }

    private func update() async throws -> HostCommand.Outcome {
        for name in ["lists/partial", "cache/archives/partial"] {
            try Files.makeDirectory(folder.appending(name))
        }
        let text = sources.joined(separator: "\n") + "\n"
        try Files.write(text, to: folder.appending("sources.list"))
        return try await HostCommand.attempt(
            "apt-get", options + ["-o", "APT::Update::Error-Mode=any", "update"])
    }

    private var options: [String] {
        [
            "Dir::Etc::sourcelist=\(folder)/sources.list", "Dir::Etc::sourceparts=-",
            "Dir::Etc::preferences=-", "Dir::Etc::preferencesparts=-",
            "Dir::State::lists=\(folder)/lists", "Dir::State::status=/dev/null",
            "Dir::Cache=\(folder)/cache", "Dir::Cache::pkgcache=pkgcache.bin",
            "Dir::Cache::srcpkgcache=srcpkgcache.bin", "Acquire::Languages=none",
            "APT::Sandbox::User=root", "APT::Get::List-Cleanup=false",
        ].flatMap { ["-o", $0] }
    }

    /// The newest of a kernel, built or as its source.
    func newest(_ kernel: Kernel) async throws -> KernelPackages {
        guard let sourceSeries = kernel.sourceSeries else {
            return try await newest(series: kernel.series)
        }
        let package = "linux-source-\(sourceSeries)"
        let version = try await version(of: package)
        return KernelPackages(
            series: kernel.series, release: "\(DebianVersion(version).upstream)-debug",
            version: version, packages: [package])
    }

    /// The newest kernel of a series for ordinary machines (no cloud or real-time flavour).
    private func newest(series: String) async throws -> KernelPackages {
        let names = try await HostCommand.run(
            "apt-cache", options + ["pkgnames", "linux-"], purpose: "list kernel packages")
        let available = Set(names.split(separator: "\n").map(String.init))
        let releases = available.compactMap { name -> String? in
            guard name.hasPrefix("linux-headers-") else { return nil }
            let release = String(name.dropFirst("linux-headers-".count))
            return Self.isOrdinary(release, of: series) ? release : nil
        }
        var best: KernelPackages?
        for release in releases {
            let split = ["linux-binary-\(release)", "linux-modules-\(release)"]
            let packages =
                split.allSatisfy(available.contains) ? split : ["linux-image-\(release)"]
            guard packages.allSatisfy(available.contains) else { continue }
            let candidate = KernelPackages(
                series: series, release: release, version: try await version(of: packages[0]),
                packages: packages)
            if let best, DebianVersion(candidate.version) < DebianVersion(best.version) { continue }
            best = candidate
        }
        guard let best else {
            throw LabError(
                "Debian \(release.codename) has no kernel \(series) for amd64",
                evidence: sources.joined(separator: "\n"),
                remedy:
                    "use a mirror that carries \(release.optionalSuites.joined(separator: ", "))")
        }
        return best
    }

    /// Whether a kernel release such as `6.12.117+deb12-amd64` is of the series and has no flavour.
    static func isOrdinary(_ release: String, of series: String) -> Bool {
        guard release.hasPrefix(series + "."), release.hasSuffix("-amd64") else { return false }
        let middle = release.dropFirst(series.count + 1).dropLast("-amd64".count)
        guard let version = middle.split(separator: "+").first else { return false }
        return version.allSatisfy { $0.isNumber || $0 == "." || $0 == "-" }
            && !middle.contains("cloud") && !middle.contains("rt")
    }

    private func version(of package: String) async throws -> String {
        let text = try await HostCommand.run(
            "apt-cache", options + ["show", "--no-all-versions", package],
            purpose: "ask for the version of \(package)")
        let line = text.split(separator: "\n").first { $0.hasPrefix("Version: ") }
        return line.map { String($0.dropFirst("Version: ".count)) } ?? "0"
    }

    /// Fetches packages' files into a folder.
    func download(_ packages: [String], to target: FilePath) async throws {
        // apt-get download writes to the current folder and has no option for another.
        try await HostCommand.run(
            "sh",
            ["-ec", "cd \"$1\"; shift; exec apt-get \"$@\"", "sh", target.string]
                + options + ["download"] + packages,
            purpose: "download \(packages.joined(separator: " "))")
    }
}

/// The newest kernel of a series in the archive, and where it is in there.
public struct KernelPackages: Sendable, Hashable, Codable {
    /// As in ``Kernel/series``.
    public let series: String
    /// What `uname -r` says.
    public let release: String
    /// The Debian package version.
    public let version: String
    /// The packages that hold the image and its modules.
    let packages: [String]

    /// Whether the archive has them as they run; else they hold the source.
    var areBuilt: Bool { packages.allSatisfy { !$0.hasPrefix("linux-source-") } }
}

/// Where the host gets its own Debian packages from.
struct Mirror {
    let main: String
    let security: String?

    /// Reads it from the host's apt configuration: no mirror is named in this repository.
    static func ofHost() async throws -> Mirror {
        let listing = try await HostCommand.run(
            "apt-get", ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"],
            purpose: "read the host's apt sources")
        let codename = try Files.text("/etc/os-release").split(separator: "\n")
            .first { $0.hasPrefix("VERSION_CODENAME=") }?
            .dropFirst("VERSION_CODENAME=".count)
        if let codename, let mirror = Mirror(listing: listing, codename: String(codename)) {
            return mirror
        }
        throw LabError(
            "apt on this machine has no source for its own Debian release",
            evidence: listing.lastLines(10),
            remedy: "the lab needs Debian 12 or later with its usual sources")
    }

    /// Reads lines of `URI RELEASE COMPONENT`.
    init?(listing: String, codename: String) {
        var uris: [String: String] = [:]
        for line in listing.split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            guard fields.count == 3, fields[2] == "main" else { continue }
            if uris[fields[1]] == nil { uris[fields[1]] = fields[0] }
        }
        guard let main = uris[codename] else { return nil }
        self.main = main
        security = uris[codename + "-security"]
    }

    func uri(of suite: String) -> String? {
        suite.hasSuffix("-security") ? security : main
    }
}
