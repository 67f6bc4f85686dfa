/// One named reader/writer lock with writer preference, as a pure value (tentacle-services.md 10).
///
/// A new reader waits when a writer waits; on release the first waiting writer goes when nobody holds it any more, else
/// all waiting readers enter together; a writer that gives up lets the readers through.
struct IsolationLock: Equatable {
    struct Member: Equatable {
        var id: Int
        var taskID: String
        var isolation: ScriptIsolation
    }

    private(set) var holders: [Member] = []
    private(set) var waiting: [Member] = []

    var isIdle: Bool { holders.isEmpty && waiting.isEmpty }

    /// True when it is held at once; else it waits in line.
    mutating func request(_ member: Member) -> Bool {
        let free =
            switch member.isolation {
            case .full: holders.isEmpty
            case .none: !holders.contains { $0.isolation == .full } && !waiting.contains { $0.isolation == .full }
            }
        if free { holders.append(member) } else { waiting.append(member) }
        return free
    }

    /// A script found running after a restart holds what it held, whatever else there is.
    mutating func hold(_ member: Member) { holders.append(member) }

    /// Gives up holding or waiting; returns the ids that hold it now and did not before.
    mutating func leave(_ id: Int) -> [Int] {
        holders.removeAll { $0.id == id }
        waiting.removeAll { $0.id == id }
        if holders.isEmpty, let writer = waiting.firstIndex(where: { $0.isolation == .full }) {
            let member = waiting.remove(at: writer)
            holders.append(member)
            return [member.id]
        }
        guard !holders.contains(where: { $0.isolation == .full }), !waiting.contains(where: { $0.isolation == .full })
        else { return [] }
        let entering = waiting
        waiting = []
        holders += entering
        return entering.map(\.id)
    }
}

/// The texts of a wait, exact (tentacle-services.md 10).
struct IsolationTexts {
    let lock: IsolationLock
    let waiter: IsolationLock.Member

    private var holderTasks: Set<String> { Set(lock.holders.map(\.taskID)) }

    var busy: String {
        let requirement =
            "requires that no other Octopus scripts are executing on this target at the same time."
        let full = waiter.isolation == .full
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
            task == waiter.taskID && lock.holders.allSatisfy { $0.isolation == .none }
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
