import Synchronization

/// The task of a service's connection, which a stop reaches only between two calls.
///
/// A call that has come is executed to its end, and the code that executes it never sees a cancelled task (halibut.md
/// 11.3, 13). The task is one of its own because a cancelled task's children are cancelled, too; it is awaited, so
/// that it does not outlive its owner.
final class StoppableTask: Sendable {
    private struct State {
        var isStopping = false
        var isBusy = false
        var cancel: (@Sendable () -> Void)?
        /// What a stop does while a call is executed.
        var stopsWhileBusy: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    private init() {}

    /// Runs the body; when the calling task is cancelled, the body's is, too, unless it is busy.
    static func run<Result: Sendable>(_ body: @escaping @Sendable (StoppableTask) async -> Result) async -> Result {
        let stoppable = StoppableTask()
        return await withTaskCancellationHandler {
            let task = Task { await body(stoppable) }
            let isStopping = stoppable.state.withLock { state in
                state.cancel = { task.cancel() }
                return state.isStopping && !state.isBusy
            }
            if isStopping { task.cancel() }
            return await task.value
        } onCancel: {
            stoppable.stop()
        }
    }

    private func stop() {
        let action = self.state.withLock { state in
            state.isStopping = true
            return state.isBusy ? state.stopsWhileBusy : state.cancel
        }
        action?()
    }

    /// Whether the owner wants an end.
    var isStopping: Bool { self.state.withLock { $0.isStopping } }

    /// A call begins; false when the owner has stopped us before.
    func begin(stopping: (@Sendable () -> Void)? = nil) -> Bool {
        self.state.withLock { state in
            guard !state.isStopping else { return false }
            state.isBusy = true
            state.stopsWhileBusy = stopping
            return true
        }
    }

    /// The call has ended, and a stop reaches the task again.
    func end() {
        self.state.withLock { state in
            state.isBusy = false
            state.stopsWhileBusy = nil
        }
    }
}
