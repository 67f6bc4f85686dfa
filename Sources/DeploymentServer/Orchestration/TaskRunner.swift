import Foundation
package import Logging
package import ServerDomain
package import ServerStore
import ServiceLifecycle
import Synchronization

/// Takes queued tasks and executes them, several at a time, until the server stops.
package final class TaskRunner: Service {
    static let maximumRunning = 20
    static let interruptionText = """
        The server stopped while this task ran; its outcome is unknown. A script may still be running on a machine: \
        look at its log there with 'tentacle logs', then deploy again.
        """

    package let hub: TaskLogHub
    private let store: Store
    private let gateway: any TentacleGateway
    private let retry: RetryPolicy
    private let logger: Logger
    private let running = Mutex<[String: Running]>([:])
    private let wakeups: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    private struct Running {
        var cancel: CancelSignal
        /// Two deployments of one project to one environment do not run at the same time.
        var exclusiveKey: String?
    }

    package init(
        store: Store,
        gateway: any TentacleGateway,
        hub: TaskLogHub = TaskLogHub(),
        retry: RetryPolicy = .standard,
        logger: Logger
    ) {
        (self.store, self.gateway, self.hub, self.retry, self.logger) = (store, gateway, hub, retry, logger)
        (wakeups, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There is something new in the queue.
    package func wake() { waker.yield() }

    /// Tasks that an earlier run of the server did not finish end as failed, with a clear text: nothing is lost silently.
    package func failInterruptedTasks() async throws {
        let ids = try await store.write { tx in
            let executing = try tx.all(ServerTask.self, where: [("state", .text(ServerTask.State.executing.rawValue))])
            let cancelling = try tx.all(
                ServerTask.self,
                where: [("state", .text(ServerTask.State.cancelling.rawValue))]
            )
            for task in executing + cancelling { try Self.fail(task, tx) }
            return (executing + cancelling).map(\.id)
        }
        for id in ids {
            logger.warning("A task was interrupted by the end of the server.", metadata: ["task.id": "\(id)"])
        }
    }

    private static func fail(_ task: ServerTask, _ tx: StoreTransaction) throws {
        var task = task
        let now = Date()
        task.complete(.failed, at: now, error: interruptionText)
        task.hasWarningsOrErrors = true
        try tx.update(task)
        try tx.append(
            [TaskLogEntry(nodeID: task.rootNodeID, category: .fatal, occurredAt: now, text: interruptionText)],
            taskID: task.id
        )
        for var node in try tx.nodes(taskID: task.id) where node.ended == nil {
            node.end(node.status == .running ? .failed : .skipped, at: now)
            if node.parentID == nil { node.status = .failed }
            try tx.update(node)
        }
    }

    package func run() async throws {
        try await failInterruptedTasks()
        wake()
        await withDiscardingTaskGroup { group in
            for await _ in wakeups.cancelOnGracefulShutdown() {
                do {
                    for task in try await claimTasks() { group.addTask { await self.execute(task) } }
                } catch {
                    if Task.isCancelled { break }
                    logger.error("The task queue cannot be read: \(error)")
                }
            }
            group.cancelAll()
        }
    }

    /// Marks tasks from the queue as executing, as many as may run now.
    private func claimTasks() async throws -> [ServerTask] {
        let queued = try await store.read {
            try $0.all(ServerTask.self, where: [("state", .text(ServerTask.State.queued.rawValue))])
        }
        var claimed: [ServerTask] = []
        for task in queued {
            let key = task.kind == .deploy ? "\(task.projectID ?? "")/\(task.environmentID ?? "")" : nil
            let isFree = running.withLock { running in
                guard running.count < Self.maximumRunning, running[task.id] == nil,
                    key == nil || !running.values.contains(where: { $0.exclusiveKey == key })
                else { return false }
                running[task.id] = Running(cancel: CancelSignal(), exclusiveKey: key)
                return true
            }
            guard isFree else { continue }
            // Looked at again inside the transaction: it may have been cancelled meanwhile.
            let started = try await store.write { tx -> ServerTask? in
                guard var task = try tx.find(ServerTask.self, id: task.id), task.state == .queued else { return nil }
                (task.state, task.startTime, task.lastUpdated) = (.executing, Date(), Date())
                try tx.update(task)
                return task
            }
            if let started { claimed.append(started) } else { _ = running.withLock { $0.removeValue(forKey: task.id) } }
        }
        return claimed
    }

    private func execute(_ task: ServerTask) async {
        let cancel = running.withLock { $0[task.id]?.cancel } ?? CancelSignal()
        let recorder = TaskRecorder(taskID: task.id, store: store, hub: hub)
        let environment = TaskEnvironment(
            store: store,
            gateway: gateway,
            recorder: recorder,
            cancel: cancel,
            retry: retry
        )
        logger.info("Task started.", metadata: ["task.id": "\(task.id)", "task.description": "\(task.description)"])
        var outcome: TaskOutcome
        do {
            recorder.adopt(try await store.read { try $0.nodes(taskID: task.id) })
            try await recorder.start(task.rootNodeID)
            switch task.kind {
            case .deploy: outcome = try await DeploymentExecution(environment: environment, task: task).run()
            case .health: outcome = try await HealthCheck(environment: environment, task: task).run()
            }
        } catch {
            outcome = .failed(Task.isCancelled ? Self.interruptionText : "\(error)")
        }
        // The end must be stored although the server may be stopping and this Swift task cancelled.
        let final = outcome
        await Task { await self.finish(task, outcome: final, recorder: recorder) }.value
        _ = running.withLock { $0.removeValue(forKey: task.id) }
        wake()
    }

    private func finish(_ task: ServerTask, outcome: TaskOutcome, recorder: TaskRecorder) async {
        do {
            if outcome.state == .failed { try await recorder.log(task.rootNodeID, .fatal, outcome.error) }
            let warned = recorder.hasWarningsOrErrors
            try await store.write { tx in
                guard var task = try tx.find(ServerTask.self, id: task.id) else { return }
                task.complete(outcome.state, at: Date(), error: outcome.error)
                task.hasWarningsOrErrors = warned
                try tx.update(task)
                for var node in try tx.nodes(taskID: task.id) where node.ended == nil {
                    node.end(Self.status(of: outcome, node: node, warned: warned), at: Date())
                    try tx.update(node)
                }
            }
            logger.info("Task ended.", metadata: ["task.id": "\(task.id)", "task.state": "\(outcome.state.rawValue)"])
        } catch {
            logger.error("The end of a task cannot be stored: \(error)", metadata: ["task.id": "\(task.id)"])
        }
        hub.announceChange(of: task.id)
    }

    /// How a node ends that was still open at the end of its task.
    private static func status(of outcome: TaskOutcome, node: ActivityNode, warned: Bool) -> ActivityNode.Status {
        let wasRunning = node.parentID == nil || node.status == .running
        switch outcome.state {
        case .success: return wasRunning ? (warned ? .successWithWarning : .success) : .skipped
        case .canceled: return .canceled
        default: return wasRunning ? .failed : .skipped
        }
    }

    /// Cancels a task: nil when there is no such task, an error text when it is over already.
    package func cancel(_ id: String) async throws -> Result<ServerTask, TaskAlreadyOver>? {
        let result = try await store.write { tx -> Result<ServerTask, TaskAlreadyOver>? in
            guard var task = try tx.find(ServerTask.self, id: id) else { return nil }
            switch task.state {
            case .queued:
                task.complete(.canceled, at: Date(), error: "The task was canceled before it started.")
                for var node in try tx.nodes(taskID: task.id) {
                    node.end(.canceled, at: Date())
                    try tx.update(node)
                }
            case .executing, .cancelling: (task.state, task.lastUpdated) = (.cancelling, Date())
            default: return .failure(TaskAlreadyOver(state: task.state))
            }
            try tx.update(task)
            return .success(task)
        }
        if case .success(let task) = result {
            running.withLock { $0[task.id]?.cancel }?.cancel()
            hub.announceChange(of: task.id)
        }
        return result
    }
}

package struct TaskAlreadyOver: Error {
    package var state: ServerTask.State
}
