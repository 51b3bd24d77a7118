// SPDX-License-Identifier: GPL-2.0

/// fio's releases, as far as their blocks differ; each is named by the first of its kind.
public enum FioRelease: String, Sendable, CaseIterable {
    /// The first layout of headers. `sha512` is none: what stands there are bytes of the data.
    case v3_3 = "3.3"
    /// `sha512` is one (commit 3ee53198, "crc/sha512: fix missing finalize part of sha512 hash").
    case v3_39 = "3.39"
    /// The second layout of headers.
    case v3_41 = "3.41"

    /// How its headers are laid out.
    var layout: FioHeader.Layout { self == .v3_41 ? .l1 : .l0 }
    /// Whether its `sha512` says anything about all of the data.
    public var isSHA512Finished: Bool { self != .v3_3 }
}
