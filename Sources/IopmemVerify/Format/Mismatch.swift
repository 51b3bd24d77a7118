// SPDX-License-Identifier: GPL-2.0

/// A run of wrong bytes and what they look like.
public struct Mismatch: Sendable, Equatable, Encodable {
    /// What happened, as far as the bytes tell. The rules are exact and are tried
    /// in the order of the cases, except that `bitflip` comes before `zeros`.
    public enum Kind: String, Sendable, Encodable, CaseIterable {
        /// Every wrong byte is zero.
        case zeros
        /// Every wrong byte is 0xff.
        case ones
        /// A whole, sound block that belongs elsewhere.
        case misdirected
        /// A whole, sound block of this place, but not the one written last.
        case stale
        /// Part of the block is of another write to the same place.
        case torn
        /// At most eight bytes of the block are wrong, each in one bit.
        case bitflip
        /// None of these.
        case garbage
    }

    /// The first wrong byte, in bytes from the start of the target.
    public var offset: UInt64
    /// Bytes from the first wrong byte to the last.
    public var length: UInt64
    /// What they look like.
    public var kind: Kind
    /// What should be there: bytes in hexadecimal, or words.
    public var expected: String
    /// What is there: bytes in hexadecimal, or words.
    public var got: String
}
