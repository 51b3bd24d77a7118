// SPDX-License-Identifier: GPL-2.0

import SystemPackage

extension Preparation {
    /// A preparation with the driver's debug build (`IOPMEM_DEBUG=1`): it tests itself when it is
    /// loaded, and injects media errors.
    public static func debugDriver() throws -> Preparation {
        let copy = Layout.cache.appending("debug-driver")
        try copySources(of: Layout.driver, to: copy, makefile: { "IOPMEM_DEBUG := 1\n" + $0 })
        return Preparation(driver: copy)
    }

    /// A preparation with the importer of dma-bufs beside the driver; it is a module of its own.
    public static func importer() throws -> Preparation {
        let copy = Layout.cache.appending("driver-and-importer")
        try copySources(
            of: Layout.driver, to: copy, makefile: { $0 + "\nobj-m += iopmem-importer.o\n" })
        try copySources(
            of: Layout.repository.appending("Tests/importer"), to: copy, makefile: { $0 })
        return Preparation(driver: copy)
    }

    private static func copySources(
        of source: FilePath, to copy: FilePath, makefile change: (String) -> String
    ) throws {
        for file in DriverModule.sourceFiles(in: source) {
            let target = copy.pushing(FilePath(file))
            var bytes = try Files.read(source.pushing(FilePath(file)))
            if file == "Kbuild" {
                bytes = Array(change(String(decoding: bytes, as: UTF8.self)).utf8)
            }
            try Files.makeDirectory(target.removingLastComponent())
            // Unchanged files stay as they are: two machines may prepare at once.
            guard (try? Files.read(target)) != bytes else { continue }
            try Files.write(bytes, to: target)
        }
    }
}
