// SPDX-License-Identifier: GPL-2.0

extension Machine {
    /// Where a function of the kernel's image begins, and where the next one does.
    ///
    /// Only for a kernel that looks for bugs: it is not moved at boot, and its System.map is there.
    /// Its own /proc/kallsyms takes minutes to read in emulation.
    public func addresses(of function: String) throws -> Range<UInt64> {
        var start: UInt64?
        for line in try Files.text(symbols).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let address = UInt64(words[0], radix: 16) else { continue }
            if words[2] == function {
                start = address
            } else if let start, address > start {
                return start..<address
            }
        }
        throw LabError("\(symbols) names no function \(function)")
    }
}
