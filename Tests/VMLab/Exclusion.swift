// SPDX-License-Identifier: GPL-2.0

import Glibc
import SystemPackage

/// Something that one task of one process does at a time in this cache folder.
struct Exclusion {
    /// Looking into the archive, unpacking, building the driver.
    static let preparation = Exclusion(file: "lock")
    /// Installing our packages in a system of their own.
    static let installation = Exclusion(file: "lock-system")
    /// Building a kernel.
    static let kernelBuild = Exclusion(file: "lock-kernel")

    private let file: FilePath
    /// The tasks of this process take turns among themselves first: one that waits for the file's lock
    /// keeps a thread, and must not keep it from the task that has the lock.
    private let turn = Slots(count: 1)

    private init(file: String) {
        self.file = Layout.cache.appending(file)
    }

    /// Runs while nobody else does.
    func during<Result>(_ body: () async throws -> Result) async throws -> Result {
        await turn.take()
        defer { turn.give() }
        try Files.makeDirectory(Layout.cache)
        let lock = try FileDescriptor.open(
            file, .readWrite, options: [.create, .closeOnExec], permissions: .ownerReadWrite)
        defer { try? lock.close() }
        if flock(lock.rawValue, LOCK_EX | LOCK_NB) != 0 {
            Progress.say("waiting for another preparation to finish")
            let descriptor = lock.rawValue
            try await onThread { while flock(descriptor, LOCK_EX) != 0, errno == EINTR {} }
        }
        return try await body()
    }
}
