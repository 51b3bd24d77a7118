// SPDX-License-Identifier: GPL-2.0
import CLibPCI
import Synchronization

/// The PCI id database, by libpci.
///
/// It has more than a megabyte, and is read when somebody asks for the first name: most commands never
/// do.
public enum PCINames {
    /// libpci's, which it changes as it looks things up; never given back.
    private static let database = Mutex<OpaqueDatabase?>(nil)

    private struct OpaqueDatabase: @unchecked Sendable {
        let access: UnsafeMutablePointer<pci_access>
    }

    /// Vendor and device in words; numbers for what the database does not know, and where it cannot be
    /// read.
    public static func name(vendor: UInt16, device: UInt16) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        return database.withLock { database in
            let open = database ?? OpaqueDatabase(access: clibpci_names())
            database = open
            return clibpci_name(
                open.access, &buffer, Int32(buffer.count), Int32(vendor), Int32(device)
            ).map { String(cString: $0) } ?? ""
        }
    }
}
