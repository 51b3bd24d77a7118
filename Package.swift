// swift-tools-version: 6.2
// SPDX-License-Identifier: GPL-2.0
import PackageDescription

/// One set of settings for all of our own targets. Warnings are errors here and
/// nowhere else, so that a dependency's warning never stops a build.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

/// What libFuzzer drives has its main function from there, so it can be built with it alone:
/// Tests/fuzz.sh asks for it.
let fuzzing: [Target] =
    Context.environment["IOPMEM_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "iopmem-fuzz",
            dependencies: ["Iopmem", "IopmemLabels", "IopmemSystem", "IopmemVerify"],
            path: "Tests/Fuzz", exclude: ["Seeds"], swiftSettings: strict)
    ]

// Dependencies point one way:
// iopmemctl → IopmemCommands → IopmemVerify → Iopmem → IopmemSystem → CIopmem, CLib*
//  IopmemManual → IopmemCommands               Iopmem → IopmemLabels
let package = Package(
    name: "iopmem",
    products: [
        .executable(name: "iopmemctl", targets: ["iopmemctl"]),
        .library(name: "Iopmem", targets: ["Iopmem"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C, each no more than a module map and a shim.
        .target(name: "CIopmem"),
        .systemLibrary(name: "CLibPCI", pkgConfig: "libpci", providers: [.apt(["libpci-dev"])]),
        .systemLibrary(name: "CLibUdev", pkgConfig: "libudev", providers: [.apt(["libudev-dev"])]),
        .systemLibrary(name: "CLibBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
        // fio's checksums; libcrypto and libxxhash are called from C alone.
        .target(
            name: "CChecksum",
            linkerSettings: [.linkedLibrary("crypto"), .linkedLibrary("xxhash")]),
        .target(name: "CMemory"),

        .target(
            name: "IopmemSystem",
            dependencies: [
                "CIopmem", "CLibPCI", "CLibUdev", "CLibBlkid", "CMemory", systemPackage,
            ],
            swiftSettings: strict),
        // The on-device format of labels: bytes in, bytes out, no dependency at all.
        .target(name: "IopmemLabels", swiftSettings: strict),
        .target(
            name: "Iopmem", dependencies: ["IopmemSystem", "IopmemLabels", systemPackage, logging],
            swiftSettings: strict),
        .target(
            name: "IopmemVerify",
            dependencies: ["Iopmem", "IopmemSystem", "CChecksum", systemPackage, histogram],
            swiftSettings: strict),
        .target(
            name: "IopmemCommands",
            dependencies: ["Iopmem", "IopmemVerify", argumentParser],
            swiftSettings: strict),
        .executableTarget(
            name: "iopmemctl", dependencies: ["IopmemCommands"], swiftSettings: strict),
        // Manual pages, from the definitions of the commands.
        .target(
            name: "IopmemManual", dependencies: ["Iopmem", "IopmemCommands", argumentParser],
            swiftSettings: strict),

        // Tests without root.
        .target(
            name: "Support", dependencies: ["Iopmem", "IopmemSystem", systemPackage, logging],
            path: "Tests/Support", exclude: ["Captured"],
            swiftSettings: strict),
        .target(name: "CLayout", path: "Tests/CLayout"),
        .testTarget(
            name: "IopmemSystemTests",
            dependencies: ["IopmemSystem", "CIopmem", "CLayout", "Support", systemPackage],
            swiftSettings: strict),
        .testTarget(
            name: "IopmemLabelsTests", dependencies: ["IopmemLabels"], swiftSettings: strict),
        .testTarget(
            name: "IopmemTests",
            dependencies: [
                "Iopmem", "IopmemLabels", "IopmemSystem", "Support", systemPackage, logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "IopmemVerifyTests",
            dependencies: ["IopmemVerify", "Iopmem", "IopmemSystem", "Support", systemPackage],
            swiftSettings: strict),
        .testTarget(
            name: "IopmemCommandsTests",
            dependencies: [
                "IopmemCommands", "Iopmem", "IopmemSystem", "Support", argumentParser,
                systemPackage,
            ],
            exclude: ["Snapshots"],
            swiftSettings: strict),

        .testTarget(
            name: "IopmemManualTests",
            dependencies: ["IopmemManual", "Iopmem", "IopmemSystem", systemPackage],
            swiftSettings: strict),

        // The virtual machine lab, and the stories told in it.
        .target(
            name: "VMLab", dependencies: [subprocess, systemPackage], path: "Tests/VMLab",
            exclude: ["boot.py", "bootstrap.sh", "coldplug", "debug.config"],
            swiftSettings: strict),
        .executableTarget(
            name: "iopmem-lab",
            dependencies: ["VMLab", "IopmemVerify", argumentParser, systemPackage],
            path: "Tests/iopmem-lab", swiftSettings: strict),
        // Runs in guests; C, since it makes mistakes that the Swift view of the ABI rules out.
        .executableTarget(name: "iopmem-guest", path: "Tests/guest-helper"),
        .executableTarget(name: "iopmem-agent", path: "Tests/guest-agent"),
        .testTarget(
            name: "VMLabTests", dependencies: ["VMLab", systemPackage], swiftSettings: strict),
        .testTarget(
            name: "ScenarioTests", dependencies: ["VMLab"], swiftSettings: strict),
    ] + fuzzing
)
