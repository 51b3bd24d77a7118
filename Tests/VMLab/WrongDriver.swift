// SPDX-License-Identifier: GPL-2.0

import SystemPackage

extension Preparation {
    /// A preparation with a copy of the driver in which one function does something else: a check
    /// that is worth something must fail on it.
    ///
    /// - Parameters:
    ///   - name: Names the copy.
    ///   - signature: The function's first line, as it is in one of the driver's files.
    ///   - body: What it does instead, without braces.
    public static func wrongDriver(
        _ name: String, signature: String, body: String
    ) throws -> Preparation {
        let copy = Layout.cache.appending("wrong-drivers").appending(name)
        var replaced = 0
        for file in DriverModule.sourceFiles(in: Layout.driver) {
            let target = copy.pushing(FilePath(file))
            var bytes = try Files.read(Layout.driver.pushing(FilePath(file)))
            if file.hasSuffix(".c"),
                let text = replacing(signature, body, in: String(decoding: bytes, as: UTF8.self))
            {
                bytes = Array(text.utf8)
                replaced += 1
            }
            try Files.makeDirectory(target.removingLastComponent())
            try Files.write(bytes, to: target)
        }
        guard replaced == 1 else {
            throw LabError(
                "the driver has \(replaced) functions with the first line \(signature)",
                remedy: "adapt the test that wants to replace it")
        }
        return Preparation(driver: copy)
    }

    /// The same source with another body for a function; nil if it is not there.
    static func replacing(_ signature: String, _ body: String, in source: String) -> String? {
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(of: signature[...]),
            let end = lines[start...].firstIndex(of: "}")
        else { return nil }
        let replacement = [lines[start], "{", body[...]]
        return (lines[..<start] + replacement + lines[end...]).joined(separator: "\n")
    }
}
