import NIOCore

/// A connection's event loop as the executor that its task prefers.
///
/// What the peer sends then resumes the task on the spot, without a change of threads: most of a small call's time goes
/// into those. Nothing that may block belongs here: calls are executed, and files opened and written, by ``offLoop(_:)``.
///
/// Why not an actor on the loop's serial executor: whatever isolation a task has, the runtime resumes its continuations
/// on the concurrency pool first and only then changes to the actor (Swift 6.3), which is two changes of threads for each
/// wait. A continuation does heed the preference of its task.
final class LoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs the body on a loop; what it calls stays there unless it is isolated elsewhere.
    static func run<Result: Sendable>(
        on eventLoop: any EventLoop,
        _ body: @escaping @Sendable @concurrent () async -> Result
    ) async -> Result {
        await withTaskExecutorPreference(LoopExecutor(eventLoop), operation: body)
    }
}

/// Leaves the loop for something that may block or take its time.
func offLoop<Result: Sendable, Failure: Error>(
    _ body: @escaping @Sendable @concurrent () async throws(Failure) -> Result
) async throws(Failure) -> Result {
    try await withTaskExecutorPreference(globalConcurrentExecutor, operation: body)
}
