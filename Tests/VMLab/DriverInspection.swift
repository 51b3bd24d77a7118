// SPDX-License-Identifier: GPL-2.0

import Glibc
public import SystemPackage

/// Looks at the driver's source with tools that need no machine: sparse and the compiler's analyzer,
/// which see it as one kernel's build does, and the kernel's own checkpatch.
public struct DriverInspection: Sendable {
    private let source: FilePath
    private let files: [String]

    /// An inspection of the driver in a folder.
    public init(of source: FilePath = Layout.driver) {
        self.source = source
        files = DriverModule.sourceFiles(in: source)
    }

    /// What sparse and gcc's -fanalyzer say about the driver, built for this kernel; one line each.
    public func findings(for kernel: Kernel) async throws -> [String] {
        let (_, packages, root) = try await Exclusion.preparation.during {
            try await Preparation.parts(of: kernel, for: .tools)
        }
        return try await withCopy { copy in
            let outcome = try await root.make(
                [
                    "-C", "/usr/src/linux-headers-\(packages.release)", "M=/build", "C=1",
                    "CHECK=sparse", "KCFLAGS=-fanalyzer", "modules",
                ], in: copy)
            let findings = Self.complaints(in: outcome.output)
            if outcome.succeeded || !findings.isEmpty { return findings }
            throw LabError(
                "the driver does not compile for Linux \(packages.release)",
                evidence: outcome.output.lastLines(30))
        }
    }

    /// What checkpatch says about the form of the driver's C; one line each.
    public func styleFindings() async throws -> [String] {
        let source = try Kernel.named("6.12-debug")
        let (archive, packages, root) = try await Exclusion.preparation.during {
            try await Preparation.parts(of: source, for: .tools)
        }
        let scripts = try await Exclusion.preparation.during {
            try await Self.scripts(of: packages, from: archive)
        }
        return try await withCopy { copy in
            let outcome = try await root.run(
                [
                    // Relative, or it does not see that a header is one for user space.
                    "sh", "-c", "cd /build && exec perl \"$@\"", "sh",
                    "/kernel/checkpatch.pl", "--strict", "--no-tree", "--terse",
                    "--max-line-length=100",
                    // It takes an include of include/uapi/linux/iopmem.h in iopmem.h for the name of
                    // the file itself.
                    "--ignore", "EMBEDDED_FILENAME", "-f",
                ]
                    + files.filter { $0.hasSuffix(".c") || $0.hasSuffix(".h") },
                in: copy, kernel: scripts)
            // Where it finds nothing it says nothing at all.
            guard outcome.succeeded || outcome.output.contains("total: ") else {
                throw LabError("checkpatch did not run", evidence: outcome.output.lastLines(10))
            }
            return Self.remarks(in: outcome.output)
        }
    }

    /// Lines of a build that tell of something in it, with paths as in the repository.
    static func complaints(in output: String) -> [String] {
        let errors = output.split(separator: "\n").map(String.init).filter {
            $0.contains(": error:")
        }
        return (DriverModule.warnings(in: output) + errors).map(asInRepository)
    }

    /// What checkpatch says line by line, without its sums.
    static func remarks(in output: String) -> [String] {
        output.split(separator: "\n").map(String.init).filter { line in
            ["ERROR", "WARNING", "CHECK"].contains { line.contains(": \($0): ") }
        }.map(asInRepository)
    }

    /// Older kernels' builds name files with their whole path.
    private static func asInRepository(_ line: String) -> String {
        "kmod/" + (line.hasPrefix("/build/") ? String(line.dropFirst("/build/".count)) : line)
    }

    /// Gives the body a copy, so that no object lands in the checkout.
    private func withCopy(_ body: (FilePath) async throws -> [String]) async throws -> [String] {
        let copy = Layout.cache.appending("run").appending("inspection-\(getpid())")
        try DriverModule.copy(files, of: source, to: copy)
        do {
            let findings = try await body(copy)
            try await Self.remove(copy)
            return findings
        } catch {
            try? await Self.remove(copy)
            throw error
        }
    }

    private static func remove(_ folder: FilePath) async throws {
        try await HostCommand.run("rm", ["-rf", folder.string], purpose: "remove \(folder)")
    }

    /// checkpatch and its word lists, out of the newest source package.
    private static func scripts(
        of packages: KernelPackages, from archive: Archive
    ) async throws -> FilePath {
        let folder = Layout.cache.appending("checkpatch-\(packages.version)")
        if Files.exists(folder) { return folder }
        let unfinished = Layout.cache.appending("checkpatch.unfinished")
        try await remove(unfinished)
        try Files.makeDirectory(unfinished)
        try await Progress.during("fetching checkpatch from Linux \(packages.version)") {
            try await archive.download(packages.packages, to: unfinished)
            let script = """
                cd "$1"
                for package in *.deb; do dpkg -x "$package" source; done
                tar -x -J -f source/usr/src/linux-source-*.tar.xz --strip-components=2 --wildcards \\
                    '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \\
                    '*/scripts/const_structs.checkpatch'
                rm -rf source ./*.deb
                """
            try await HostCommand.run(
                "sh", ["-euc", script, "sh", unfinished.string], purpose: "unpack checkpatch")
            try Files.rename(unfinished, to: folder)
        }
        return folder
    }
}
