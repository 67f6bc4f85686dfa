import NIOCore

/// Runs a connection's task on its own event loop.
///
/// What the peer sends then resumes the task without a change of threads, which is most of a small call's time. Nothing
/// that may block belongs here: calls are executed, and files written, elsewhere (`@concurrent`, thread pool).
actor LoopIsolation {
    private let executor: any SerialExecutor

    nonisolated var unownedExecutor: UnownedSerialExecutor { self.executor.asUnownedSerialExecutor() }

    private init(_ eventLoop: any EventLoop) {
        self.executor = eventLoop.executor
    }

    private func perform<Result: Sendable>(_ body: @Sendable () async -> Result) async -> Result {
        await body()
    }

    /// Runs the body on a loop; what it calls stays there unless it is `@concurrent` or isolated elsewhere.
    static func run<Result: Sendable>(on eventLoop: any EventLoop, _ body: @Sendable () async -> Result) async -> Result
    {
        await LoopIsolation(eventLoop).perform(body)
    }
}
