import Foundation
import ServerDomain
package import ServerStore
import Synchronization
import TentacleContracts

/// Writes one running task's tree and log: into the store first, then the live readers are told.
package final class TaskRecorder: Sendable {
    private struct State {
        var nodes: [String: ActivityNode] = [:]
        var mask = SecretMask()
        var hasWarningsOrErrors = false
    }

    let taskID: String
    private let store: Store
    private let hub: TaskLogHub
    private let state = Mutex(State())

    package init(taskID: String, store: Store, hub: TaskLogHub) {
        (self.taskID, self.store, self.hub) = (taskID, store, hub)
    }

    package var hasWarningsOrErrors: Bool { state.withLock { $0.hasWarningsOrErrors } }

    func hideInLog(_ secret: String) { state.withLock { $0.mask.add(secret) } }

    /// Takes over nodes that are in the store already.
    func adopt(_ nodes: [ActivityNode]) {
        state.withLock { state in
            for node in nodes { state.nodes[node.id] = node }
        }
    }

    func add(_ nodes: [ActivityNode]) async throws {
        adopt(nodes)
        try await store.write { try $0.insert(nodes) }
        hub.announceChange(of: taskID)
    }

    func start(_ nodeID: String) async throws {
        try await change(nodeID) { $0.start(at: Date()) }
    }

    func end(_ nodeID: String, _ status: ActivityNode.Status) async throws {
        try await change(nodeID) { $0.end(status, at: Date()) }
    }

    func progress(_ nodeID: String, percentage: Int, message: String) async throws {
        try await change(nodeID) {
            ($0.progressPercentage, $0.progressMessage) = (min(100, max(0, percentage)), message)
        }
    }

    private func change(_ nodeID: String, _ body: (inout ActivityNode) -> Void) async throws {
        let changed = state.withLock { state -> ActivityNode? in
            guard var node = state.nodes[nodeID] else { return nil }
            body(&node)
            state.nodes[nodeID] = node
            return node
        }
        guard let changed else { return }
        try await store.write { try $0.update(changed) }
        hub.announceChange(of: taskID)
    }

    func log(_ nodeID: String, _ category: TaskLogEntry.Category, _ text: String) async throws {
        try await append([TaskLogEntry(nodeID: nodeID, category: category, occurredAt: Date(), text: text)])
    }

    func append(_ entries: [TaskLogEntry]) async throws {
        guard !entries.isEmpty else { return }
        let masked = state.withLock { state in
            state.hasWarningsOrErrors = state.hasWarningsOrErrors || entries.contains { $0.category.isWarningOrWorse }
            return entries.map { entry in
                var entry = entry
                entry.text = state.mask.apply(to: entry.text)
                return entry
            }
        }
        let taskID = self.taskID
        _ = try await store.write { try $0.append(masked, taskID: taskID) }
        hub.announceChange(of: taskID)
    }
}

/// The log of one script on one node: interprets service messages on the way (deployment-steps.md 2).
final class NodeScriptLog: ScriptLog {
    private struct State {
        var interpreter = ScriptOutputInterpreter()
        var failureMessage: String?
        var variables: [String: String] = [:]
        var worst: TaskLogEntry.Category = .info
    }

    private let recorder: TaskRecorder
    private let nodeID: String
    private let state = Mutex(State())

    init(recorder: TaskRecorder, nodeID: String) { (self.recorder, self.nodeID) = (recorder, nodeID) }

    /// What the script itself gave as the reason of its failure.
    var failureMessage: String? { state.withLock { $0.failureMessage } }
    /// Output variables the script has set.
    var variables: [String: String] { state.withLock { $0.variables } }
    /// The worst level the script wrote at.
    var worst: TaskLogEntry.Category { state.withLock { $0.worst } }

    func note(_ category: TaskLogEntry.Category, _ text: String) async throws {
        try await recorder.log(nodeID, category, text)
    }

    func deliver(_ output: [ProcessOutput]) async throws {
        guard !output.isEmpty else { return }
        let items = state.withLock { state in
            output.flatMap { line in
                state.interpreter.interpret(line.text, from: line.stream).map { (item: $0, occurred: line.occurred) }
            }
        }
        try await record(items)
    }

    /// To be called after the script's last output.
    func finish() async throws {
        try await record(state.withLock { $0.interpreter.finish() }.map { (item: $0, occurred: Date()) })
    }

    private func record(_ items: [(item: ScriptOutputInterpreter.Item, occurred: Date)]) async throws {
        var entries: [TaskLogEntry] = []
        var progress: (Int, String)?
        for (item, occurred) in items {
            switch item {
            case .line(let category, let text):
                state.withLock { if category.severity > $0.worst.severity { $0.worst = category } }
                entries.append(TaskLogEntry(nodeID: nodeID, category: category, occurredAt: occurred, text: text))
            case .message(let message): progress = apply(message) ?? progress
            }
        }
        try await recorder.append(entries)
        if let progress { try await recorder.progress(nodeID, percentage: progress.0, message: progress.1) }
    }

    private func apply(_ message: ServiceMessage) -> (Int, String)? {
        let attributes = message.attributes
        switch message.name {
        case "mask":
            if let value = attributes["value"] { recorder.hideInLog(value) }
        case "resultMessage":
            if let text = attributes["message"] { state.withLock { $0.failureMessage = text } }
        case "setVariable":
            guard let name = attributes["name"], let value = attributes["value"] else { return nil }
            if attributes["sensitive"]?.lowercased() == "true" { recorder.hideInLog(value) }
            state.withLock { $0.variables[name] = value }
        case "progress":
            guard let percentage = attributes["percentage"].flatMap({ Int($0) }), let text = attributes["message"]
            else {
                return nil
            }
            return (percentage, text)
        default: break
        }
        return nil
    }
}

extension ProcessOutput {
    fileprivate var stream: ScriptOutputInterpreter.Stream {
        switch source {
        case .stdOut: .output
        case .stdErr: .error
        case .debug: .debug
        }
    }
}

extension TaskLogEntry.Category {
    fileprivate var severity: Int {
        switch self {
        case .verbose, .info, .highlight, .wait: 0
        case .warning: 1
        case .error: 2
        case .fatal: 3
        }
    }
}
