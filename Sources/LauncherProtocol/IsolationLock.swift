/// One named reader/writer lock with writer preference, as a pure value (tentacle-services.md 10).
///
/// A new reader waits when a writer waits; on release the first waiting writer goes when nobody holds it any more, else
/// all waiting readers enter together; a writer that gives up lets the readers through. Here because two need it: the
/// agent, which keeps to it, and the command line, which explains a wait.
package struct IsolationLock: Equatable, Sendable {
    package struct Member: Equatable, Sendable {
        package var id: Int
        package var taskID: String
        /// A writer: nobody else holds the lock beside it.
        package var fullIsolation: Bool

        package init(id: Int, taskID: String, fullIsolation: Bool) {
            self.id = id
            self.taskID = taskID
            self.fullIsolation = fullIsolation
        }
    }

    package private(set) var holders: [Member] = []
    package private(set) var waiting: [Member] = []

    package init() {}

    package var isIdle: Bool { holders.isEmpty && waiting.isEmpty }

    /// True when it is held at once; else it waits in line.
    package mutating func request(_ member: Member) -> Bool {
        let free =
            member.fullIsolation
            ? holders.isEmpty
            : !holders.contains(where: \.fullIsolation) && !waiting.contains(where: \.fullIsolation)
        if free { holders.append(member) } else { waiting.append(member) }
        return free
    }

    /// A script found running after a restart holds what it held, whatever else there is.
    package mutating func hold(_ member: Member) { holders.append(member) }

    /// Gives up holding or waiting; returns the ids that hold it now and did not before.
    package mutating func leave(_ id: Int) -> [Int] {
        holders.removeAll { $0.id == id }
        waiting.removeAll { $0.id == id }
        if holders.isEmpty, let writer = waiting.firstIndex(where: \.fullIsolation) {
            let member = waiting.remove(at: writer)
            holders.append(member)
            return [member.id]
        }
        guard !holders.contains(where: \.fullIsolation), !waiting.contains(where: \.fullIsolation) else { return [] }
        let entering = waiting
        waiting = []
        holders += entering
        return entering.map(\.id)
    }

    /// The ids of those who wait, in the order in which they enter when nobody else comes or gives up.
    ///
    /// Those who enter together are one turn.
    package func turns() -> [[Int]] {
        var lock = self
        var turns: [[Int]] = []
        while !lock.waiting.isEmpty {
            let holders = lock.holders
            let turn = holders.flatMap { lock.leave($0.id) }
            // Without a holder nobody ever leaves: then they would not be waiting.
            guard !turn.isEmpty else { break }
            turns.append(turn)
        }
        return turns
    }
}
