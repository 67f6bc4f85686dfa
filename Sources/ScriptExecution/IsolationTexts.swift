internal import LauncherProtocol

/// The texts of a wait, exact (tentacle-services.md 10).
struct IsolationTexts {
    let lock: IsolationLock
    let waiter: IsolationLock.Member

    private var holderTasks: Set<String> { Set(lock.holders.map(\.taskID)) }

    var busy: String {
        let requirement =
            "requires that no other Octopus scripts are executing on this target at the same time."
        let full = waiter.fullIsolation
        if holderTasks.count > 1 {
            return "Waiting on scripts in tasks \(list) to finish. This script \(requirement)"
        }
        if holderTasks.contains(waiter.taskID) {
            return
                "Waiting on another script in this task to finish as \(full ? "this" : "another") task \(requirement)"
        }
        return "Waiting for the script in task \(list) to finish as \(full ? "this" : "that") script \(requirement)"
    }

    var cancelled: String {
        "This task was canceled before it could start. \(stillRunning)"
    }

    func timedOut(after timeout: Duration) -> String {
        "This task waited more than \(Self.minutes(timeout)) minutes and timed out. \(stillRunning)"
    }

    private var stillRunning: String {
        holderTasks.count > 1 ? "Tasks \(list) are still running." : "Task \(list) is still running."
    }

    private var list: String {
        let names = holderTasks.sorted().map { task in
            task == waiter.taskID && !lock.holders.contains(where: \.fullIsolation)
                ? "This Task" : "[\(task)](~/app#/tasks/\(task))"
        }
        guard let last = names.last else { return "(error - task not found)" }
        return names.count == 1 ? last : names.dropLast().joined(separator: ", ") + " and " + last
    }

    /// Whole minutes, rounded, thousands set apart by commas.
    static func minutes(_ duration: Duration) -> String {
        let digits = Array(String((duration.components.seconds + 30) / 60))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text.append(",") }
            text.append(digit)
        }
        return text
    }
}
