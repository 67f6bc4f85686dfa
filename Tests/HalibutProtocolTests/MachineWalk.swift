import Testing

/// Drives a machine with every event in every state it can reach, and compares each step with a table.
///
/// A state is reached by replaying the events that led there: machines cannot be copied.
struct MachineWalk<Machine: ~Copyable> {
    /// One event: its name in the table, and how to feed it; returns the machine's answer.
    struct Event {
        let name: String
        let feed: (inout Machine) -> String

        init<Action>(_ name: String, _ feed: @escaping (inout Machine) -> Action) {
            self.name = name
            self.feed = { String(describing: feed(&$0)) }
        }
    }

    /// An answer, and the state after it.
    struct Step: Equatable, CustomStringConvertible {
        let action: String
        let next: String

        var description: String { "\(self.action) → \(self.next)" }
    }

    let start: () -> Machine
    let stateName: (borrowing Machine) -> String
    let events: [Event]

    /// Every step there is, by state and event.
    func steps() -> [String: [String: Step]] {
        var paths: [(state: String, path: [Event])] = [(self.stateName(self.start()), [])]
        var steps: [String: [String: Step]] = [paths[0].state: [:]]
        var next = 0
        while next < paths.count {
            let (state, path) = paths[next]
            next += 1
            for event in self.events {
                var machine = self.start()
                for earlier in path { _ = earlier.feed(&machine) }
                let action = event.feed(&machine)
                let after = self.stateName(machine)
                steps[state, default: [:]][event.name] = Step(action: action, next: after)
                if steps[after] == nil {
                    steps[after] = [:]
                    paths.append((after, path + [event]))
                }
            }
        }
        return steps
    }

    /// Compares every step with `table`, lines of `state | event | action | next state`, and where that says nothing with
    /// `otherwise`.
    func check(_ table: String, otherwise: (_ state: String, _ event: String) -> Step) {
        var expected: [String: [String: Step]] = [:]
        for line in table.split(separator: "\n") {
            let cells = line.split(separator: " | ", omittingEmptySubsequences: false).map(String.init)
            guard cells.count == 4 else {
                Issue.record("not a line of the table: \(line)")
                continue
            }
            expected[cells[0], default: [:]][cells[1]] = Step(action: cells[2], next: cells[3])
        }
        let steps = self.steps()
        for (state, edges) in steps {
            for (event, step) in edges {
                let wanted = expected[state]?.removeValue(forKey: event) ?? otherwise(state, event)
                #expect(step == wanted, "\(state) | \(event)")
            }
        }
        for (state, edges) in expected {
            for event in edges.keys { Issue.record("the walk never came to: \(state) | \(event)") }
        }
    }
}
