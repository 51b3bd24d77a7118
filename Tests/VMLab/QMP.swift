// SPDX-License-Identifier: GPL-2.0

import FoundationEssentials
import Synchronization

/// QEMU's machine protocol: one request at a time, and events in between.
public final class QMP: Sendable {
    /// How many times longer the guest may take; see ``Kernel/slowness``.
    private let slowness: Int
    private let stream: ByteStream
    private let state = Mutex(State())

    private struct State {
        var reply: CheckedContinuation<JSONValue, any Error>?
        var events: [(name: String, device: String?)] = []
        var watchers: [(name: String, device: String, resume: CheckedContinuation<Bool, Never>)] =
            []
        var hasHungUp = false
    }

    init(_ stream: ByteStream, slowness: Int) async throws {
        self.slowness = slowness
        self.stream = stream
        guard try await onThread({ stream.line() }) != nil else {
            throw LabError("QEMU's control channel closed at once")
        }
        detach { [self] in
            while let line = stream.line() {
                if let message = try? JSONDecoder().decode(JSONValue.self, from: Data(line.utf8)) {
                    take(message)
                }
            }
            let (reply, watchers) = state.withLock { state in
                state.hasHungUp = true
                defer {
                    state.reply = nil
                    state.watchers = []
                }
                return (state.reply, state.watchers)
            }
            reply?.resume(throwing: LabError("QEMU ended during a request"))
            for watcher in watchers { watcher.resume.resume(returning: false) }
        }
        _ = try await execute("qmp_capabilities")
    }

    private func take(_ message: JSONValue) {
        if let name = message["event"]?.string {
            let device = message["data"]?["device"]?.string
            let woken = state.withLock { state in
                let woken = state.watchers.filter { $0.name == name && $0.device == device }
                state.watchers.removeAll { $0.name == name && $0.device == device }
                // Each answers one question only: the device may be unplugged again.
                if woken.isEmpty { state.events.append((name, device)) }
                return woken
            }
            for watcher in woken { watcher.resume.resume(returning: true) }
            return
        }
        let reply = state.withLock { state in
            defer { state.reply = nil }
            return state.reply
        }
        if let value = message["return"] {
            reply?.resume(returning: value)
        } else {
            let reason = message["error"]?["desc"]?.string ?? "unknown answer"
            reply?.resume(throwing: LabError("QEMU refused: \(reason)"))
        }
    }

    /// Sends one request and returns its answer.
    @discardableResult
    public func execute(_ command: String, _ arguments: [String: JSONValue] = [:]) async throws
        -> JSONValue
    {
        var request: [String: JSONValue] = ["execute": .string(command)]
        if !arguments.isEmpty { request["arguments"] = .object(arguments) }
        let line = String(
            decoding: try JSONEncoder().encode(JSONValue.object(request)), as: UTF8.self)
        return try await withCheckedThrowingContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.reply == nil, !state.hasHungUp else { return false }
                state.reply = continuation
                return true
            }
            guard isFree else {
                continuation.resume(
                    throwing: LabError("QEMU's control channel is not free for \(command)"))
                return
            }
            do {
                try stream.write(line + "\n")
            } catch {
                state.withLock { state in
                    defer { state.reply = nil }
                    return state.reply
                }?.resume(throwing: error)
            }
        }
    }

    /// Pulls a device out: asks the guest, as the attention button does, and waits until it is gone.
    public func unplug(_ device: String, within seconds: Int = 60) async throws {
        let seconds = seconds * slowness
        try await execute("device_del", ["id": .string(device)])
        let isGone = await event("DEVICE_DELETED", of: device, within: seconds)
        if !isGone { throw LabError("\(device) was not released by the guest within \(seconds) s") }
    }

    /// Whether this event comes (or has come) for the device before the deadline.
    private func event(_ name: String, of device: String, within seconds: Int) async -> Bool {
        let alarm = Task {
            try await Task.sleep(for: .seconds(seconds))
            let late = state.withLock { state in
                let late = state.watchers.filter { $0.name == name && $0.device == device }
                state.watchers.removeAll { $0.name == name && $0.device == device }
                return late
            }
            for watcher in late { watcher.resume.resume(returning: false) }
        }
        defer { alarm.cancel() }
        return await withCheckedContinuation { continuation in
            let known = state.withLock { state -> Bool? in
                if let index = state.events.firstIndex(where: {
                    $0.name == name && $0.device == device
                }) {
                    state.events.remove(at: index)
                    return true
                }
                if state.hasHungUp { return false }
                state.watchers.append((name, device, continuation))
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// Plugs a device in; arguments are those of `-device`.
    public func plug(_ driver: String, id: String, bus: String, _ more: [String: JSONValue] = [:])
        async throws
    {
        var arguments = more
        arguments["driver"] = .string(driver)
        arguments["id"] = .string(id)
        arguments["bus"] = .string(bus)
        try await execute("device_add", arguments)
    }

    /// Every PCI function with a name of ours.
    func functions() async throws -> [PCIFunction] {
        let buses = try await execute("query-pci").array ?? []
        func walk(_ devices: [JSONValue]) -> [PCIFunction] {
            devices.flatMap { device in
                let below = device["pci_bridge"]?["devices"]?.array ?? []
                return [PCIFunction(device)].compactMap { $0 } + walk(below)
            }
        }
        return buses.flatMap { walk($0["devices"]?.array ?? []) }
    }
}

/// A PCI function as QEMU sees it: where the guest's firmware and kernel have put it.
public struct PCIFunction: Sendable {
    /// QEMU's id, our name of it.
    public let name: String
    /// As in `0000:03:00.0`.
    public let address: String
    /// Guest-physical addresses of its memory BARs, by number.
    public let bars: [Int: Range<UInt64>]

    init?(_ value: JSONValue) {
        guard let name = value["qdev_id"]?.string, !name.isEmpty,
            let bus = value["bus"]?.integer, let slot = value["slot"]?.integer,
            let function = value["function"]?.integer
        else { return nil }
        self.name = name
        func hex(_ number: Int, _ digits: Int) -> String {
            let text = String(number, radix: 16)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        address = "0000:\(hex(bus, 2)):\(hex(slot, 2)).\(hex(function, 1))"
        var bars: [Int: Range<UInt64>] = [:]
        for region in value["regions"]?.array ?? [] where region["type"]?.string == "memory" {
            guard let number = region["bar"]?.integer, let size = region["size"]?.integer,
                let base = region["address"]?.integer, base > 0
            else { continue }
            bars[number] = UInt64(base)..<UInt64(base) + UInt64(size)
        }
        self.bars = bars
    }
}
