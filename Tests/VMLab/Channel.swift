// SPDX-License-Identifier: GPL-2.0

import Dispatch
import Glibc
import Synchronization
import SystemPackage

/// A unix socket on which QEMU calls the lab.
final class Listener: Sendable {
    private let socket: FileDescriptor
    private let path: FilePath

    init(path: FilePath) throws {
        let descriptor = Glibc.socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            throw LabError("cannot make a socket: \(Errno(rawValue: errno))")
        }
        self.socket = FileDescriptor(rawValue: descriptor)
        self.path = path
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.string.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw LabError("the path \(path) is too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard bound == 0, listen(descriptor, 1) == 0 else {
            throw LabError("cannot listen on \(path): \(Errno(rawValue: errno))")
        }
    }

    deinit {
        try? socket.close()
        unlink(path.string)
    }

    /// The connection, or nil when `cancelled` became readable first or the deadline passed.
    func accept(unless cancelled: FileDescriptor, within milliseconds: Int32) -> FileDescriptor? {
        var waits = [
            pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: cancelled.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        var ready = poll(&waits, 2, milliseconds)
        while ready < 0, errno == EINTR { ready = poll(&waits, 2, milliseconds) }
        guard ready > 0, waits[0].revents != 0 else { return nil }
        let descriptor = Glibc.accept(socket.rawValue, nil, nil)
        guard descriptor >= 0 else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return FileDescriptor(rawValue: descriptor)
    }
}

/// A connection to a unix socket on which QEMU listens.
func connectSocket(_ path: FilePath) throws -> FileDescriptor {
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw LabError("cannot make a socket: \(Errno(rawValue: errno))") }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.string.utf8)) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
    }
    guard result == 0 else {
        let reason = Errno(rawValue: errno)
        Glibc.close(descriptor)
        throw LabError("cannot connect to \(path): \(reason)")
    }
    return FileDescriptor(rawValue: descriptor)
}

/// Runs blocking work on a thread of its own, so that it takes none from Swift's pool.
func onThread<Result: Sendable>(
    _ work: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        detach { continuation.resume(with: Swift.Result { try work() }) }
    }
}

/// Starts a thread that nobody joins.
func detach(_ work: @escaping @Sendable () -> Void) {
    DispatchQueue(label: "iopmem-lab").async(execute: work)
}

/// A connection that gives what comes in as lines and runs of bytes, in a thread's blocking style.
final class ByteStream: Sendable {
    private let descriptor: FileDescriptor
    private let buffered = Mutex<ArraySlice<UInt8>>([])
    private let isClosed = Mutex(false)

    init(_ descriptor: FileDescriptor) {
        self.descriptor = descriptor
    }

    deinit {
        try? descriptor.close()
    }

    func write(_ text: String) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let sent = bytes.withUnsafeBytes {
                send(descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { throw LabError("the machine hung up: \(Errno(rawValue: errno))") }
            bytes = bytes.dropFirst(sent)
        }
    }

    /// The next line without its end; nil when the other side has hung up.
    func line() -> String? {
        var searched = 0
        while true {
            let line = buffered.withLock { bytes -> String? in
                guard let end = bytes.dropFirst(searched).firstIndex(of: 0x0a) else {
                    searched = bytes.count
                    return nil
                }
                let line = String(decoding: bytes[..<end], as: UTF8.self)
                bytes = bytes[(end + 1)...]
                return line
            }
            if let line { return line }
            guard receive() else { return nil }
        }
    }

    /// Exactly this many bytes; nil when the other side has hung up before.
    func bytes(_ count: Int) -> [UInt8]? {
        while buffered.withLock({ $0.count }) < count {
            guard receive() else { return nil }
        }
        return buffered.withLock { bytes in
            let taken = Array(bytes.prefix(count))
            bytes = bytes.dropFirst(count)
            return taken
        }
    }

    private func receive() -> Bool {
        let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
            var got = recv(descriptor.rawValue, buffer.baseAddress, buffer.count, 0)
            while got < 0, errno == EINTR {
                got = recv(descriptor.rawValue, buffer.baseAddress, buffer.count, 0)
            }
            count = max(got, 0)
        }
        buffered.withLock { $0 = ArraySlice(Array($0) + chunk) }
        return !chunk.isEmpty
    }

    /// Hangs up; a thread that waits in ``line()`` returns.
    func close() {
        isClosed.withLock { closed in
            if !closed { shutdown(descriptor.rawValue, Int32(SHUT_RDWR)) }
            closed = true
        }
    }
}
