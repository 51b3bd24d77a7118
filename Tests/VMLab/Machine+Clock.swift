// SPDX-License-Identifier: GPL-2.0

import SystemPackage

extension Machine {
    /// Tells the guest how much time of the host's processors its own processors have had.
    ///
    /// Each line that the guest writes to `/dev/virtio-ports/iopmem.clock` is answered with a number of
    /// nanoseconds. It stands still while the guest idles or waits for the answer, and while the host
    /// runs something else: a busy host does not disturb what is measured with it.
    ///
    /// The number is the first of `/proc/PID/task/TID/schedstat`, summed over the threads that run
    /// virtual processors (Documentation/scheduler/sched-stats.rst).
    public func serveClock() async throws {
        let (process, port) = try clockParts()
        let threads = try await qmp.execute("query-cpus-fast").array ?? []
        let files = Set(threads.compactMap { $0["thread-id"]?.integer }).map {
            FilePath("/proc/\(process)/task/\($0)/schedstat")
        }
        guard !files.isEmpty else { throw LabError("QEMU names no threads for its processors") }
        let stream = ByteStream(port)
        detach {
            while stream.line() != nil {
                let times = files.map { file in
                    (try? Files.text(file)).flatMap { Int($0.prefix { $0 != " " }) } ?? 0
                }
                guard (try? stream.write("\(times.reduce(0, +))\n")) != nil else { return }
            }
        }
    }
}
