// SPDX-License-Identifier: GPL-2.0
import Glibc
public import SystemPackage

/// A file descriptor with exactly one owner, closed when the owner goes.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor, to be used only while the owner lives.
    public let raw: FileDescriptor

    /// Takes over `raw`; nobody else may close it.
    public init(adopting raw: FileDescriptor) {
        self.raw = raw
    }

    /// Opens `path`; the descriptor does not survive an exec.
    public init(
        path: String, mode: FileDescriptor.AccessMode = .readOnly,
        options: FileDescriptor.OpenOptions = []
    ) throws(Errno) {
        let flags = mode.rawValue | options.rawValue | O_CLOEXEC
        let number = try retrying { open(path, flags) }
        self.raw = FileDescriptor(rawValue: number)
    }

    /// Makes a file that only its owner can read, and opens it for writing; where
    /// one is there already it is emptied if `replacing`, else EEXIST.
    public init(creating path: String, replacing: Bool) throws(Errno) {
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (replacing ? O_TRUNC : O_EXCL)
        self.raw = FileDescriptor(rawValue: try retrying { open(path, flags, 0o600) })
    }

    /// Lets everybody read the file.
    public borrowing func allowReading() throws(Errno) {
        let number = raw.rawValue
        try retrying { fchmod(number, 0o644) }
    }

    /// Locks the file against others who do (flock) and says whether that worked; the lock goes with
    /// the owner. Does not wait.
    public borrowing func tryLock() throws(Errno) -> Bool {
        let number = raw.rawValue
        do throws(Errno) {
            try retrying { flock(number, LOCK_EX | LOCK_NB) }
            return true
        } catch .wouldBlock {
            return false
        }
    }

    /// Returns when what was written is on the disk.
    public borrowing func synchronize() throws(Errno) {
        let number = raw.rawValue
        do throws(Errno) {
            try retrying { fsync(number) }
        } catch .invalidArgument {
            // A pipe or a terminal, which has no disk.
        }
    }

    deinit {
        // Linux has released the number even where close reports an error.
        _ = Glibc.close(raw.rawValue)
    }
}

extension OwnedDescriptor {
    /// Reads up to `count` bytes at `offset`; fewer only at the end.
    public borrowing func read(count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        let number = raw.rawValue
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = try retrying {
                bytes.withUnsafeMutableBytes { buffer in
                    pread(
                        number, buffer.baseAddress.map { $0 + done }, count - done,
                        off_t(offset) + off_t(done))
                }
            }
            guard got > 0 else { break }
            done += got
        }
        bytes.removeLast(count - done)
        return bytes
    }

    /// Reads to the end from the current position.
    public borrowing func readToEnd() throws(Errno) -> [UInt8] {
        let number = raw.rawValue
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let got = try retrying {
                chunk.withUnsafeMutableBytes { Glibc.read(number, $0.baseAddress, $0.count) }
            }
            guard got > 0 else { return bytes }
            bytes += chunk[..<got]
        }
    }

    /// Writes all of `bytes` at the current position.
    public borrowing func writeAll(_ bytes: [UInt8]) throws(Errno) {
        let number = raw.rawValue
        var done = 0
        while done < bytes.count {
            done += try retrying {
                bytes.withUnsafeBytes { buffer in
                    Glibc.write(
                        number, buffer.baseAddress.map { $0 + done }, bytes.count - done)
                }
            }
        }
    }
}
