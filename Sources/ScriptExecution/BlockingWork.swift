internal import Dispatch

/// Runs file and process calls that block on a thread made for that, not on one of the few that run all tasks.
///
/// A queue of its own for each: serial queues get a thread at once, while the global queue makes the next one late when
/// the first few all block.
func offThePool<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "tentacle.blocking").async { continuation.resume(with: Result(catching: body)) }
    }
}
