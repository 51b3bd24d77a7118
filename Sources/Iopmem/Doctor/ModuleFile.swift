// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// The driver's file that modprobe would load into the running kernel.
struct ModuleFile {
    /// Where it is; nil if none is installed.
    let path: String?

    /// What depmod has found for the running kernel; nil where there is no list of modules.
    static func installed(root: SystemRoot) -> ModuleFile? {
        let release = root.optionalText("/proc/sys/kernel/osrelease") ?? ""
        let folder = "/lib/modules/\(release)"
        guard let index = root.optionalText("\(folder)/modules.dep") else { return nil }
        let path = index.split(separator: "\n").lazy.map { line in line.prefix { $0 != ":" } }
            .first { path in
                path.split(separator: "/").last?.hasPrefix("\(DriverFacts.name).ko") == true
            }
        return ModuleFile(path: path.map { $0.hasPrefix("/") ? String($0) : "\(folder)/\($0)" })
    }

    /// Whether a signature ends it (MODULE_SIG_STRING in include/linux/module_signature.h); nil where
    /// that cannot be seen, since the file is compressed or not readable.
    func isSigned(root: SystemRoot) -> Bool? {
        guard let path, path.hasSuffix(".ko"), let bytes = try? root.bytes(path) else { return nil }
        return bytes.suffix(28).elementsEqual("~Module signature appended~\n".utf8)
    }
}
