// SPDX-License-Identifier: GPL-2.0

import SystemPackage

/// Debian releases in folders.
enum DebianRoot {
    /// Finds one with these packages or makes it; older ones of the same name are removed.
    ///
    /// - Parameters:
    ///   - versions: What else makes it another one: packages of the same name may be newer.
    ///   - variant: mmdebstrap's word for what is in it besides.
    ///   - places: Folders to be made in it.
    ///   - text: What it is made for, after "a Debian … root to".
    static func prepare(
        _ archive: Archive, _ name: String, packages: [String], versions: [String],
        variant: String, places: [String] = [], to text: String
    ) async throws -> FilePath {
        let codename = archive.release.codename
        var digest = Digest()
        for text in packages + versions { digest.add(text) }
        let roots = Layout.cache.appending("roots")
        let folder = roots.appending("\(name)-\(digest.hex)")
        if Files.exists(folder) { return folder }
        try Files.makeDirectory(roots)
        for old in Files.names(in: roots) where old.hasPrefix("\(name)-") {
            try await remove(roots.appending(old))
        }
        let unfinished = roots.appending("\(name)-\(digest.hex).unfinished")
        let sources = roots.appending("\(name).list")
        try Files.write(archive.sources.joined(separator: "\n") + "\n", to: sources)
        return try await Progress.during("making a Debian \(codename) root to \(text)") {
            do {
                try await HostCommand.run(
                    "mmdebstrap",
                    [
                        "--mode=root", "--variant=\(variant)", "--format=directory",
                        "--aptopt=APT::Install-Recommends \"false\"",
                        "--include=\(packages.joined(separator: ","))",
                        codename, unfinished.string, sources.string,
                    ],
                    purpose: "make a Debian \(codename) root")
                for place in places { try Files.makeDirectory(unfinished.appending(place)) }
                try Files.rename(unfinished, to: folder)
                return folder
            } catch {
                try await remove(unfinished)
                throw error
            }
        }
    }

    /// Removes a root; of one file system only: whatever might be mounted below is not ours to delete.
    static func remove(_ folder: FilePath) async throws {
        try await HostCommand.run(
            "rm", ["-rf", "--one-file-system", folder.string], purpose: "remove \(folder)")
    }

    /// Runs a shell script, whose first argument is the root; its mounts live in a namespace of their
    /// own and vanish with it, however this ends.
    static func run(
        _ script: String, in root: FilePath, _ arguments: [String] = []
    ) async throws -> HostCommand.Outcome {
        try await HostCommand.attempt(
            "unshare",
            ["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script, "sh", root.string]
                + arguments,
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
    }
}
