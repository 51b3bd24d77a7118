// SPDX-License-Identifier: GPL-2.0
@testable import IopmemLabels

/// The start of a region, in memory.
struct Memory: Equatable {
    static let regionSize: UInt64 = 256 << 20
    static let device = DeviceHint(
        vendor: 0x1af4, device: 0x1110, bar: 2, regionSize: regionSize)

    var bytes = [UInt8](repeating: 0, count: LabelFormat.areaSize)

    /// What a reader makes of it.
    var reading: LabelReading { LabelArea.read(bytes, regionSize: Self.regionSize) }

    /// The area, which must be readable.
    var area: LabelArea {
        get throws {
            guard case .area(let area) = reading else { throw NotReadable(reading: reading) }
            return area
        }
    }

    mutating func write(_ writes: [LabelWrite]) {
        for write in writes {
            bytes.replaceSubrange(
                write.offset..<write.offset + write.bytes.count, with: write.bytes)
        }
    }

    /// A blank region with a new area and these labels.
    static func with(_ labels: [Label] = [], uuid: [UInt8] = areaUUID) throws -> Memory {
        var memory = Memory()
        memory.write(
            try LabelArea.initial(uuid: uuid, device: device, labels: labels, isBlank: true))
        return memory
    }

    static let areaUUID = [UInt8](0xa0...0xaf)
}

struct NotReadable: Error {
    let reading: LabelReading
}

/// A label with numbers that can be told apart; each is alone at its place.
func label(_ number: UInt8, name: String? = nil) -> Label {
    Label(
        uuid: [number] + [UInt8](repeating: 0x11, count: 15), name: name ?? "label-\(number)",
        mode: 1, map: 1, offset: UInt64(number) * 4 << 20, size: 4 << 20, media: 1,
        number: UInt32(number))
}

/// What labels say, without when they were made.
func content(_ area: LabelArea) -> [Label] {
    area.labels.map { label in
        var label = label
        label.creation = 0
        return label
    }
}
