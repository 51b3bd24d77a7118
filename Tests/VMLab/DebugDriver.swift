// SPDX-License-Identifier: GPL-2.0

import SystemPackage

extension Preparation {
    /// A preparation with the driver's debug build (`IOPMEM_DEBUG=1`): it tests itself when it is
    /// loaded, and injects media errors.
    public static func debugDriver() throws -> Preparation {
        let copy = Layout.cache.appending("debug-driver")
        for file in DriverModule.sourceFiles(in: Layout.driver) {
            let target = copy.pushing(FilePath(file))
            var bytes = try Files.read(Layout.driver.pushing(FilePath(file)))
            if file == "Kbuild" { bytes = Array("IOPMEM_DEBUG := 1\n".utf8) + bytes }
            try Files.makeDirectory(target.removingLastComponent())
            // Unchanged files stay as they are: two machines may prepare at once.
            guard (try? Files.read(target)) != bytes else { continue }
            try Files.write(bytes, to: target)
        }
        return Preparation(driver: copy)
    }
}
