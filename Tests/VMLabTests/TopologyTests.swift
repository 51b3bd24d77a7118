// SPDX-License-Identifier: GPL-2.0

import SystemPackage
import Testing

@testable import VMLab

@Suite("Topology")
struct TopologyTests {
    private let storage = Storage(folder: "/files")

    @Test("puts devices behind the ports that the drawing shows")
    func placement() {
        let topology = Topology(
            .switch("sw0", .card("card0", megabytes: 256), .nvme("nvme0")),
            .rootPort("rp0", .card("card1", megabytes: 64)))
        let arguments = topology.arguments(storage: storage)
        #expect(arguments.contains("x3130-upstream,id=sw0,bus=sw0-root"))
        #expect(arguments.contains("ivshmem-plain,id=card0,memdev=card0-memory,bus=sw0-port0"))
        #expect(arguments.contains("nvme,id=nvme0,serial=nvme0,drive=nvme0-file,bus=sw0-port1"))
        #expect(arguments.contains("ivshmem-plain,id=card1,memdev=card1-memory,bus=rp0"))
        #expect(
            arguments.contains(
                "memory-backend-file,share=on,mem-path=/files/card0.memory,id=card0-memory,size=256M"
            ))
    }

    @Test("gives every port a chassis of its own")
    func chassis() {
        let arguments = Topology(
            .rootPort("rp0", reserve: 512, child: nil), .switch("sw0", .nvme("a"), .nvme("b"))
        ).arguments(storage: storage)
        let numbers = arguments.compactMap { text in
            text.split(separator: ",").first { $0.hasPrefix("chassis=") }
        }
        #expect(numbers.count == 4)
        #expect(Set(numbers).count == 4)
    }

    @Test("asks for translation in the machine and in the kernel")
    func translation() {
        let topology = Topology(.nvme("nvme0")).translatingDMA()
        #expect(topology.arguments(storage: storage).contains("intel-iommu,intremap=off"))
        #expect(topology.allKernelArguments.contains("iommu.passthrough=0"))
        let plain = Topology(.nvme("nvme0"))
        #expect(!plain.arguments(storage: storage).contains { $0.hasPrefix("intel-iommu") })
        #expect(!plain.allKernelArguments.contains { $0.contains("iommu") })
    }

    @Test("gives NVDIMMs slots and room beyond the RAM, and no file when measuring")
    func measuring() {
        let topology = Topology(
            .card("card0", megabytes: 256), .nvdimm("nvdimm0", megabytes: 128))
        let kept = topology.arguments(storage: storage)
        #expect(kept.contains("nvdimm=on"))
        #expect(kept.contains("slots=2,maxmem=3200M"))
        #expect(kept.contains("nvdimm,id=nvdimm0,memdev=nvdimm0-memory"))
        #expect(kept.contains { $0.contains("mem-path=/files/nvdimm0.memory") })
        let measured = topology.measuring(processors: 1).arguments(storage: storage)
        #expect(!measured.contains { $0.contains("mem-path") })
        #expect(measured.contains("memory-backend-ram,id=card0-memory,size=256M"))
        #expect(!Topology(.nvme("nvme0")).arguments(storage: storage).contains("nvdimm=on"))
    }
}
