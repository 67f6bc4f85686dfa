import Foundation
import Synchronization

/// Tells live readers that a task's log has grown; the lines themselves they read from the store, so none can be lost.
package final class TaskLogHub: Sendable {
    private let readers = Mutex<[String: [UUID: AsyncStream<Void>.Continuation]]>([:])

    package init() {}

    package func announceChange(of taskID: String) {
        let continuations = readers.withLock { $0[taskID].map { Array($0.values) } ?? [] }
        for continuation in continuations { continuation.yield() }
    }

    /// One element for one or more changes since the last.
    package func changes(of taskID: String) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = UUID()
        continuation.onTermination = { [weak self] _ in
            self?.readers.withLock { readers in
                readers[taskID]?[id] = nil
                if readers[taskID]?.isEmpty == true { readers[taskID] = nil }
            }
        }
        readers.withLock { $0[taskID, default: [:]][id] = continuation }
        return stream
    }

    package var readerCount: Int { readers.withLock { $0.values.reduce(0) { $0 + $1.count } } }
}
