// SPDX-License-Identifier: GPL-2.0
import CLibPCI
import Synchronization

/// The PCI id database, by libpci.
///
/// It has more than a megabyte, and is read when somebody asks for the first name: most commands never
/// do.
public final class PCINames: Sendable {
    /// The machine's, where libpci looks for it.
    public static let shared = PCINames(path: nil)

    private struct Database: @unchecked Sendable {
        /// libpci changes it as it looks things up.
        let access: UnsafeMutablePointer<pci_access>
    }

    private let path: String?
    private let database = Mutex<Database?>(nil)

    /// The one in a file.
    init(path: String?) {
        self.path = path
    }

    deinit {
        database.withLock { if let open = $0 { pci_cleanup(open.access) } }
    }

    /// Vendor and device in words; numbers for what the database does not know, or what stands behind
    /// the first mistake in it, and where there is none.
    public func name(vendor: UInt16, device: UInt16) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        return database.withLock { database in
            let open = database ?? Database(access: clibpci_names(path))
            database = open
            return clibpci_name(
                open.access, &buffer, Int32(buffer.count), Int32(vendor), Int32(device)
            ).map { String(cString: $0) } ?? ""
        }
    }
}
