// SPDX-License-Identifier: GPL-2.0

/// What has to be undone if an operation fails, newest first.
///
/// An undoing step looks at the machine before it acts, so that it is right
/// also when the step it undoes failed half-way.
struct Rollback {
    private var steps: [(name: String, undo: () throws(IopmemError) -> Void)] = []

    /// Adds the undoing of a step that is about to be made.
    mutating func add(_ name: String, _ undo: @escaping () throws(IopmemError) -> Void) {
        steps.append((name, undo))
    }

    /// Undoes everything. What cannot be undone is told in the returned error,
    /// and does not keep the rest from being undone.
    mutating func undo(after error: IopmemError, telling listener: any Listener) -> IopmemError {
        var result = error
        while let step = steps.popLast() {
            listener.step("undo: \(step.name)")
            do throws(IopmemError) {
                try step.undo()
            } catch {
                result.message += "; and afterwards: \(error.message)"
                if let remedy = error.remedy { result.remedy = remedy }
            }
        }
        return result
    }
}

/// Runs `body` with a rollback that is carried out if it fails.
func withRollback<Result>(
    telling listener: any Listener,
    _ body: (inout Rollback) throws(IopmemError) -> Result
) throws(IopmemError) -> Result {
    var rollback = Rollback()
    do throws(IopmemError) {
        return try body(&rollback)
    } catch {
        throw rollback.undo(after: error, telling: listener)
    }
}
