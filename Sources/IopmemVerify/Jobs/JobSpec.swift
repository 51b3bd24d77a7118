// SPDX-License-Identifier: GPL-2.0
public import Iopmem

/// A job as somebody asked for it, by options or by a section of a job file.
public struct JobSpec: Sendable, Equatable {
    /// What it is called in reports.
    public var name: String
    /// Where it was asked for: a line of a job file.
    public var place: String?
    /// fio's `filename`; nil for what the user named, or for a file of its own in ``directory``.
    public var filename: String?
    /// fio's `directory`.
    public var directory: String?
    /// fio's words. A `size` of 0 means all of the target.
    public var workload = Workload(size: 0)
    /// fio's `size` in percent of the target.
    public var sizePercent: Int?
    /// fio's `direct` if it was given; else it follows from the target.
    public var direct: Bool?
    /// fio's `numjobs`.
    public var copies = 1
    /// fio's `offset_increment`: where each copy begins after the one before, in bytes.
    public var offsetIncrement: UInt64?
    /// fio's `stonewall`: it begins when those before it have ended.
    public var waits = false
    /// fio's `group_reporting`: one report for all jobs of its group.
    public var isGrouped = false
    /// fio's `new_group`: a group begins here.
    public var beginsGroup = false
    /// A job of that name.
    public init(_ name: String) { self.name = name }

    /// Sets one of fio's options as a job file does.
    public mutating func set(_ option: String, _ value: String) throws(IopmemError) {
        do {
            try JobOptions.set(option, value, in: &self)
        } catch let refusal as FioValue.Refusal {
            throw IopmemError(.usage, "--\(option.replacing("_", with: "-")): \(refusal.reason)")
        } catch {
            throw IopmemError(.usage, "\(error)")
        }
    }
}
