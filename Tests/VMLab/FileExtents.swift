// SPDX-License-Identifier: GPL-2.0

extension Machine {
    /// The content of a file on a namespace, read by the host from the card's memory: what is on the
    /// card, whatever the guest believes.
    ///
    /// - Parameters:
    ///   - path: The file in the guest.
    ///   - count: How many bytes from its start.
    ///   - card: The card's name.
    ///   - start: Where the file system's device begins in the card's BAR, in bytes.
    public func bytesOnCard(ofFile path: String, count: Int, card: String, start: Int) async throws
        -> [UInt8]
    {
        let map = try await guest.run("filefrag -s -v -b4096 '\(path)'").output
        var bytes: [UInt8] = []
        for line in map.split(separator: "\n") {
            // "   0:        0..    2047:      16384..     18431:   2048:             last,eof"
            let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
            guard line.contains(".."), numbers.count >= 6, bytes.count < count else { continue }
            let wanted = min(numbers[5] * 4096, count - bytes.count)
            bytes += try Storage.bytes(
                of: storage.card(card), offset: start + numbers[3] * 4096, count: wanted)
        }
        if bytes.count == count { return bytes }
        throw LabError("\(path) has no \(count) bytes on the card", evidence: map)
    }
}
