import Synchronization

/// A value that others change, and whose changes can be awaited.
package final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var watchers: [Int: AsyncStream<Value>.Continuation] = [:]
        var watchersSoFar = 0
    }

    private let state: Mutex<State>

    package init(_ value: Value) { self.state = Mutex(State(value: value)) }

    package var value: Value { self.state.withLock { $0.value } }

    package func change(_ change: (inout sending Value) -> Void) {
        self.state.withLock { state in
            change(&state.value)
            for watcher in state.watchers.values { watcher.yield(state.value) }
        }
    }

    /// Waits until a condition holds.
    package func until(_ condition: (Value) -> Bool) async throws {
        let (values, watcher) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: .bufferingNewest(1))
        let number = self.state.withLock { state in
            state.watchersSoFar += 1
            state.watchers[state.watchersSoFar] = watcher
            watcher.yield(state.value)
            return state.watchersSoFar
        }
        defer { self.state.withLock { $0.watchers[number] = nil } }
        for await value in values where condition(value) { return }
        throw CancellationError()
    }
}
