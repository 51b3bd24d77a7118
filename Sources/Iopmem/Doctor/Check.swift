// SPDX-License-Identifier: GPL-2.0

/// One thing that could stop a machine from working, and how it stands.
public struct Check: Sendable, Equatable, Encodable {
    /// How it stands.
    public enum Status: String, Sendable, Encodable {
        /// As it should be.
        case ok
        /// It works, but not as well or as comfortably as it could.
        case warning
        /// It stops something from working.
        case problem
        /// It could not be found out.
        case unknown
    }

    /// A stable word for scripts.
    public var id: String
    /// How it stands.
    public var status: Status
    /// What was looked at: a device, a region, a kernel option.
    public var subject: String
    /// What was found.
    public var finding: String
    /// What to do; absent where nothing needs to be done.
    public var remedy: String?

    /// That finding.
    public init(
        _ id: String, _ status: Status, _ subject: String, _ finding: String,
        remedy: String? = nil
    ) {
        self.id = id
        self.status = status
        self.subject = subject
        self.finding = finding
        self.remedy = remedy
    }
}
