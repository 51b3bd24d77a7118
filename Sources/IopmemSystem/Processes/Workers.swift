// SPDX-License-Identifier: GPL-2.0
private import CMemory
private import Glibc
private import Synchronization

/// Threads of their own for work that waits: that of the language's own pool must not.
public enum Workers {
    private final class Cell<Result: Sendable>: Sendable {
        let body: @Sendable () -> Result
        let event: Int32
        private let result = Mutex<Result?>(nil)

        init(event: Int32, body: @escaping @Sendable () -> Result) {
            self.event = event
            self.body = body
        }

        func run() {
            let value = body()
            result.withLock { $0 = value }
            var one: UInt64 = 1
            _ = write(event, &one, MemoryLayout.size(ofValue: one))
        }

        var value: Result? { result.withLock { $0 } }
    }

    /// Runs one body, and `watch` as below.
    static func run<Result: Sendable>(
        _ body: @escaping @Sendable () -> Result, watch: () -> Void
    ) -> Result {
        run([body], watch: watch)[0]
    }

    /// Runs all bodies at once and returns when all have ended, with what each came to, in their order.
    ///
    /// - Parameter watch: called in the meantime by the caller's own thread, some times a second.
    public static func run<Result: Sendable>(
        _ bodies: [@Sendable () -> Result], watch: () -> Void
    ) -> [Result] {
        let descriptor = iopmem_eventfd()
        defer { if descriptor >= 0 { close(descriptor) } }
        let cells = bodies.map { Cell(event: descriptor, body: $0) }
        var threads: [pthread_t] = []
        for cell in cells {
            var thread = pthread_t()
            let box = Unmanaged.passRetained(Thunk { cell.run() })
            let started = pthread_create(
                &thread, nil,
                { argument in
                    if let argument {
                        Unmanaged<Thunk>.fromOpaque(argument).takeRetainedValue().body()
                    }
                    return nil
                }, box.toOpaque())
            guard started == 0 else {
                // No thread is to be had: this one does it, then.
                box.takeRetainedValue().body()
                continue
            }
            threads.append(thread)
        }
        while cells.contains(where: { $0.value == nil }) {
            watch()
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            // A poll of -1 waits no less.
            poll(&wait, 1, 50)
            if wait.revents & Int16(POLLIN) != 0 {
                var count: UInt64 = 0
                _ = read(descriptor, &count, MemoryLayout.size(ofValue: count))
            }
        }
        for thread in threads { pthread_join(thread, nil) }
        return cells.compactMap(\.value)
    }
}

/// A closure that C can hold.
private final class Thunk {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}
