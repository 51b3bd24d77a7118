// SPDX-License-Identifier: GPL-2.0

import Testing

@testable import VMLab

@Suite("Preparation")
struct PreparationTests {
    @Test(
        "orders Debian versions as dpkg does",
        arguments: [
            ("6.1.99-1", "6.1.192-2"), ("6.12.117-1~deb12u1", "6.12.117-1"),
            ("7.2.9-1~bpo13+1", "7.2.12-1~bpo13+1"), ("1.0~rc1-1", "1.0-1"), ("9.9-9", "1:1.0-1"),
            ("1.0", "1.0a"), ("1.0a", "1.0+b"), ("1.0-1", "1.0-1+b1"), ("1.0-9", "1.0-10"),
        ])
    func versions(_ older: String, _ newer: String) {
        #expect(DebianVersion(older) < DebianVersion(newer))
        #expect(!(DebianVersion(newer) < DebianVersion(older)))
    }

    @Test("takes kernels of the series, and no flavours")
    func flavours() {
        #expect(Archive.isOrdinary("6.1.0-56-amd64", of: "6.1"))
        #expect(Archive.isOrdinary("6.12.117+deb12-amd64", of: "6.12"))
        #expect(!Archive.isOrdinary("6.12.117+deb12-amd64", of: "6.1"))
        #expect(!Archive.isOrdinary("6.12.117+deb12-cloud-amd64", of: "6.12"))
        #expect(!Archive.isOrdinary("6.1.0-56-rt-amd64", of: "6.1"))
        #expect(!Archive.isOrdinary("7.3.4+deb13-amd64", of: "7.2"))
        #expect(!Archive.isOrdinary("6.1.0-56-common", of: "6.1"))
    }

    @Test("reads the mirror from apt's own words")
    func mirrors() throws {
        let listing = """
            http://mirror.example/debian/ bookworm main
            http://mirror.example/debian/ bookworm-updates main
            http://mirror.example/debian-security/ bookworm-security main
            https://other.example/apt cloud main
            """
        let mirror = try #require(Mirror(listing: listing, codename: "bookworm"))
        #expect(mirror.uri(of: "trixie-backports") == "http://mirror.example/debian/")
        #expect(mirror.uri(of: "trixie-security") == "http://mirror.example/debian-security/")
        #expect(Mirror(listing: listing, codename: "sid") == nil)
    }

    @Test("sees every warning of a module build")
    func warnings() {
        let output = """
            warning: the compiler differs from the one used to build the kernel
              CC [M]  /build/dax.o
            /build/dax.c:12:5: warning: unused variable 'x' [-Wunused-variable]
            WARNING: modpost: "iopmem_x" [/build/iopmem.ko] undefined!
            """
        #expect(DriverModule.warnings(in: output).count == 2)
    }

    @Test("tells changed sources from unchanged ones")
    func digests() {
        func digest(_ parts: [String]) -> String {
            var digest = Digest()
            for part in parts { digest.add(part) }
            return digest.hex
        }
        #expect(digest(["a", "bc"]) == digest(["a", "bc"]))
        #expect(digest(["a", "bc"]) != digest(["ab", "c"]))
        #expect(digest(["a"]).count == 16)
    }
}
