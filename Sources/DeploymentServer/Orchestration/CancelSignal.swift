import Synchronization

/// A request to stop that someone else can make at any time, once.
///
/// It is not Swift's task cancellation: a cancelled script must still be told so, and that takes calls.
package final class CancelSignal: Sendable {
    private struct State {
        var isCancelled = false
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    package var isCancelled: Bool { state.withLock { $0.isCancelled } }

    package func cancel() {
        let waiters = state.withLock { state in
            state.isCancelled = true
            defer { state.waiters = [:] }
            return state.waiters.values.map(\.self)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the signal is given, or when the calling task is cancelled.
    package func wait() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isCancelled || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }

    /// Runs `operation`, cancelling it when the signal is given; `Interrupted` is thrown when that made it fail.
    package func interrupting<T: Sendable>(_ operation: @escaping @Sendable () async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask { try await operation() }
            group.addTask {
                await self.wait()
                return nil
            }
            defer { group.cancelAll() }
            if let value = try await group.next() ?? nil { return value }
            try Task.checkCancellation()
            group.cancelAll()
            do {
                // The operation may just have ended; its result counts then.
                if let value = try await group.next() ?? nil { return value }
                throw Interrupted(underlying: CancellationError())
            } catch {
                throw Interrupted(underlying: error)
            }
        }
    }

    /// Sleeps; false when the signal cut it short.
    package func sleep<C: Clock>(for duration: Duration, on clock: C) async throws -> Bool
    where C.Duration == Duration {
        do {
            try await interrupting { try await clock.sleep(for: duration) }
            return true
        } catch is Interrupted {
            return false
        }
    }

    /// An operation was given up because of the signal.
    package struct Interrupted: Error {
        package var underlying: any Error
    }
}
