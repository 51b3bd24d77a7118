// SPDX-License-Identifier: GPL-2.0
import Iopmem
import IopmemSystem
import SystemPackage

/// Where the pages of a mapping are.
public struct Placement: Sendable, Equatable, Encodable {
    /// Pages that were looked at.
    public var pagesChecked: UInt64 = 0
    /// Those whose frame lies in the BAR.
    public var pagesInBar: UInt64 = 0
    /// Those whose frame is the one that the file system's own map (FIEMAP) and
    /// the namespace's address name; for the node of a namespace, its address alone.
    public var pagesAsMapped: UInt64 = 0
    /// The first page that is elsewhere, in words.
    public var stray: String?
    /// Whether they were pages of a namespace's node, about which no file system is asked.
    var isOfNode = false
    /// Who says where they should be.
    public var authority: String { isOfNode ? "its offset says" : "the file system says" }

    private enum CodingKeys: String, CodingKey {
        case pagesChecked = "pages_checked"
        case pagesInBar = "pages_in_bar"
        case pagesAsMapped = "pages_as_fiemap"
        case stray
    }

    /// Whether every page is where it must be; nothing looked at proves nothing.
    public var isDirect: Bool {
        pagesChecked > 0 && pagesInBar == pagesChecked && pagesAsMapped == pagesChecked
    }

    mutating func add(_ other: Placement) {
        pagesChecked += other.pagesChecked
        pagesInBar += other.pagesInBar
        pagesAsMapped += other.pagesAsMapped
        stray = stray ?? other.stray
        isOfNode = isOfNode || other.isOfNode
    }
}

/// Compares page frames with the BAR and with the file system's map.
struct PlacementCheck {
    /// Mapped at a time: bounds the memory that page tables take.
    static let span: UInt64 = 256 << 20

    let file: OpenFile
    let window: BarWindow
    /// Whether the file is the memory itself, so that no file system says where its bytes are.
    var isMemory = false

    /// Looks at every page that holds a byte of `range`.
    ///
    /// - Parameters:
    ///   - writable: whether `file` may be written; pages are then made present
    ///     as by stores, so that holes get blocks.
    ///   - pendingSignal: asked between two spans.
    func check(
        _ range: Range<UInt64>, writable: Bool, pendingSignal: () -> Int32?
    ) throws(IopmemError) -> Placement {
        let page = UInt64(FileMapping.pageSize)
        var placement = Placement()
        var start = range.lowerBound / page * page
        while start < range.upperBound, pendingSignal() == nil {
            let length = Int(min(Self.span, range.upperBound - start))
            do throws(Errno) {
                let mapping = try FileMapping(
                    file, offset: start, length: length, writable: writable)
                placement.add(try check(mapping, writable: writable))
            } catch .notPermitted {
                throw IopmemError(
                    .permission, "the kernel hides page frames from this user",
                    remedy: "run it as root")
            } catch {
                throw IopmemError(
                    error, "cannot look at the pages of \(file.path) from offset \(start)")
            }
            start += UInt64(length)
        }
        return placement
    }

    /// Looks at every page of a mapping.
    func check(_ mapping: FileMapping, writable: Bool) throws(Errno) -> Placement {
        try mapping.populate(at: 0, length: mapping.bytes.count, writing: writable)
        let page = UInt64(FileMapping.pageSize)
        let end = mapping.fileOffset + UInt64(mapping.bytes.count)
        var extents =
            isMemory
            ? ExtentMap(linear: file, to: end) : ExtentMap(file, from: mapping.fileOffset, to: end)
        var placement = Placement()
        placement.isOfNode = isMemory
        var failure: Errno?
        try PageMap().forEachPage(of: UnsafeRawBufferPointer(mapping.bytes)) { index, address in
            guard failure == nil else { return }
            let offset = mapping.fileOffset + UInt64(index) * page
            do throws(Errno) {
                let extent = try extents.extent(at: offset)
                judge(address, at: offset, extent, &placement)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return placement
    }

    func judge(
        _ address: UInt64?, at offset: UInt64, _ extent: FileExtent?,
        _ placement: inout Placement
    ) {
        placement.pagesChecked += 1
        let expected = extent.flatMap { extent in
            extent.isPlain ? window.base + extent.physical + (offset - extent.logical) : nil
        }
        let isInBar = address.map { window.bar.contains($0) } ?? false
        let isAsMapped = address != nil && address == expected
        if isInBar { placement.pagesInBar += 1 }
        if isAsMapped { placement.pagesAsMapped += 1 }
        guard placement.stray == nil, !(isInBar && isAsMapped) else { return }
        let place = address.map { "at 0x" + String($0, radix: 16) } ?? "not present"
        let should =
            expected.map { "should be at 0x" + String($0, radix: 16) }
            ?? "has no block in the file system's map"
        placement.stray =
            "the page at offset \(offset) is \(place) and \(should); \(window.description)"
    }
}
