// SPDX-License-Identifier: GPL-2.0
import CIopmem
import CLayout
import Testing

/// The driver's ABI as Swift sees it.
@Suite("ABI layout")
struct ABILayoutTests {
    @Test("Swift puts every field of every struct where C does")
    func fieldsAgree() {
        let inC = (0..<clayout_count()).map { index in
            let field = clayout_field(index)
            return Field(
                name: String(cString: field.name), offset: field.offset, size: field.size)
        }
        #expect(swiftFields == inC)
    }

    @Test("sizes are those that were published, for ever")
    func publishedSizes() {
        #expect(MemoryLayout<iopmem_version>.size == 56)
        #expect(MemoryLayout<iopmem_device_bind>.size == 224)
        #expect(MemoryLayout<iopmem_bind_result>.size == 1408)
        #expect(MemoryLayout<iopmem_device_retire>.size == 216)
        #expect(MemoryLayout<iopmem_namespace_create>.size == 312)
        #expect(MemoryLayout<iopmem_namespace_destroy>.size == 232)
        #expect(MemoryLayout<iopmem_label_area>.size == 208)
        #expect(MemoryLayout<iopmem_label_write>.size == 224)
        #expect(MemoryLayout<iopmem_error_injection>.size == 240)
    }

    @Test("ioctl numbers are those that were published, for ever")
    func publishedNumbers() {
        #expect(iopmem_ioc_get_version == 0xba00)
        #expect(iopmem_ioc_prepare_bind == 0xba01)
        #expect(iopmem_ioc_get_bind_result == 0xba02)
        #expect(iopmem_ioc_retire_device == 0xba03)
        #expect(iopmem_ioc_create_namespace == 0xba10)
        #expect(iopmem_ioc_destroy_namespace == 0xba11)
        #expect(iopmem_ioc_set_label_area == 0xba12)
        #expect(iopmem_ioc_write_labels == 0xba13)
        #expect(iopmem_ioc_inject_error == 0xba20)
    }

    @Test("flags are single bits that no other flag of the same struct has")
    func flags() {
        #expect(iopmem_device_bind_f_force == 1)
        #expect(iopmem_device_retire_f_revoke == 1)
        #expect(iopmem_namespace_create_f_offset == 1)
        #expect(iopmem_namespace_create_f_id == 2)
        #expect(iopmem_namespace_destroy_f_revoke == 1)
        #expect(iopmem_namespace_destroy_f_zero == 2)
    }

    private struct Field: Equatable {
        let name: String
        let offset: Int?
        let size: Int
    }

    private func whole<Struct>(_ type: Struct.Type, _ name: String) -> Field {
        Field(name: name, offset: 0, size: MemoryLayout<Struct>.size)
    }

    private func field<Struct, Value>(
        _ path: KeyPath<Struct, Value>, _ name: String
    ) -> Field {
        Field(
            name: name, offset: MemoryLayout<Struct>.offset(of: path),
            size: MemoryLayout<Value>.size)
    }

    private var swiftFields: [Field] {
        [
            whole(iopmem_version.self, "iopmem_version"),
            field(\iopmem_version.size, "iopmem_version.size"),
            field(\iopmem_version.flags, "iopmem_version.flags"),
            field(\iopmem_version.abi, "iopmem_version.abi"),
            field(\iopmem_version.modes, "iopmem_version.modes"),
            field(\iopmem_version.maps, "iopmem_version.maps"),
            field(\iopmem_version.reserved, "iopmem_version.reserved"),
            field(\iopmem_version.release, "iopmem_version.release"),
            whole(iopmem_device_bind.self, "iopmem_device_bind"),
            field(\iopmem_device_bind.size, "iopmem_device_bind.size"),
            field(\iopmem_device_bind.flags, "iopmem_device_bind.flags"),
            field(\iopmem_device_bind.domain, "iopmem_device_bind.domain"),
            field(\iopmem_device_bind.bus, "iopmem_device_bind.bus"),
            field(\iopmem_device_bind.devfn, "iopmem_device_bind.devfn"),
            field(\iopmem_device_bind.media, "iopmem_device_bind.media"),
            field(\iopmem_device_bind.bar_mask, "iopmem_device_bind.bar_mask"),
            field(\iopmem_device_bind.reserved, "iopmem_device_bind.reserved"),
            field(\iopmem_device_bind.reason, "iopmem_device_bind.reason"),
            whole(iopmem_bar_verdict.self, "iopmem_bar_verdict"),
            field(\iopmem_bar_verdict.error, "iopmem_bar_verdict.error"),
            field(\iopmem_bar_verdict.region, "iopmem_bar_verdict.region"),
            field(\iopmem_bar_verdict.reason, "iopmem_bar_verdict.reason"),
            whole(iopmem_bind_result.self, "iopmem_bind_result"),
            field(\iopmem_bind_result.size, "iopmem_bind_result.size"),
            field(\iopmem_bind_result.flags, "iopmem_bind_result.flags"),
            field(\iopmem_bind_result.error, "iopmem_bind_result.error"),
            field(\iopmem_bind_result.reserved, "iopmem_bind_result.reserved"),
            field(\iopmem_bind_result.reason, "iopmem_bind_result.reason"),
            field(\iopmem_bind_result.bars, "iopmem_bind_result.bars"),
            whole(iopmem_device_retire.self, "iopmem_device_retire"),
            field(\iopmem_device_retire.size, "iopmem_device_retire.size"),
            field(\iopmem_device_retire.flags, "iopmem_device_retire.flags"),
            field(\iopmem_device_retire.domain, "iopmem_device_retire.domain"),
            field(\iopmem_device_retire.bus, "iopmem_device_retire.bus"),
            field(\iopmem_device_retire.devfn, "iopmem_device_retire.devfn"),
            field(\iopmem_device_retire.reserved0, "iopmem_device_retire.reserved0"),
            field(\iopmem_device_retire.destroyed, "iopmem_device_retire.destroyed"),
            field(\iopmem_device_retire.reserved, "iopmem_device_retire.reserved"),
            field(\iopmem_device_retire.reason, "iopmem_device_retire.reason"),
            whole(iopmem_namespace_create.self, "iopmem_namespace_create"),
            field(\iopmem_namespace_create.size, "iopmem_namespace_create.size"),
            field(\iopmem_namespace_create.flags, "iopmem_namespace_create.flags"),
            field(\iopmem_namespace_create.mode, "iopmem_namespace_create.mode"),
            field(\iopmem_namespace_create.map, "iopmem_namespace_create.map"),
            field(\iopmem_namespace_create.offset, "iopmem_namespace_create.offset"),
            field(\iopmem_namespace_create.length, "iopmem_namespace_create.length"),
            field(\iopmem_namespace_create.id, "iopmem_namespace_create.id"),
            field(\iopmem_namespace_create.reserved, "iopmem_namespace_create.reserved"),
            field(\iopmem_namespace_create.uuid, "iopmem_namespace_create.uuid"),
            field(\iopmem_namespace_create.name, "iopmem_namespace_create.name"),
            field(\iopmem_namespace_create.reason, "iopmem_namespace_create.reason"),
            whole(iopmem_range.self, "iopmem_range"),
            field(\iopmem_range.offset, "iopmem_range.offset"),
            field(\iopmem_range.length, "iopmem_range.length"),
            whole(iopmem_namespace_destroy.self, "iopmem_namespace_destroy"),
            field(\iopmem_namespace_destroy.size, "iopmem_namespace_destroy.size"),
            field(\iopmem_namespace_destroy.flags, "iopmem_namespace_destroy.flags"),
            field(\iopmem_namespace_destroy.id, "iopmem_namespace_destroy.id"),
            field(\iopmem_namespace_destroy.nr_wipes, "iopmem_namespace_destroy.nr_wipes"),
            field(\iopmem_namespace_destroy.uuid, "iopmem_namespace_destroy.uuid"),
            field(\iopmem_namespace_destroy.wipes, "iopmem_namespace_destroy.wipes"),
            field(\iopmem_namespace_destroy.reason, "iopmem_namespace_destroy.reason"),
            whole(iopmem_label_area.self, "iopmem_label_area"),
            field(\iopmem_label_area.size, "iopmem_label_area.size"),
            field(\iopmem_label_area.flags, "iopmem_label_area.flags"),
            field(\iopmem_label_area.length, "iopmem_label_area.length"),
            field(\iopmem_label_area.reason, "iopmem_label_area.reason"),
            whole(iopmem_label_write.self, "iopmem_label_write"),
            field(\iopmem_label_write.size, "iopmem_label_write.size"),
            field(\iopmem_label_write.flags, "iopmem_label_write.flags"),
            field(\iopmem_label_write.offset, "iopmem_label_write.offset"),
            field(\iopmem_label_write.length, "iopmem_label_write.length"),
            field(\iopmem_label_write.data, "iopmem_label_write.data"),
            field(\iopmem_label_write.reason, "iopmem_label_write.reason"),
            whole(iopmem_error_injection.self, "iopmem_error_injection"),
            field(\iopmem_error_injection.size, "iopmem_error_injection.size"),
            field(\iopmem_error_injection.flags, "iopmem_error_injection.flags"),
            field(\iopmem_error_injection.id, "iopmem_error_injection.id"),
            field(\iopmem_error_injection.reserved, "iopmem_error_injection.reserved"),
            field(\iopmem_error_injection.uuid, "iopmem_error_injection.uuid"),
            field(\iopmem_error_injection.offset, "iopmem_error_injection.offset"),
            field(\iopmem_error_injection.length, "iopmem_error_injection.length"),
            field(\iopmem_error_injection.reason, "iopmem_error_injection.reason"),
        ]
    }
}
