import Foundation
import ServerDomain
import ServerStore
import TentacleContracts

/// What the execution of a task came to.
struct TaskOutcome: Sendable {
    var state: ServerTask.State
    var error = ""

    static let success = TaskOutcome(state: .success)
    static let canceled = TaskOutcome(state: .canceled, error: "The task was canceled.")
    static func failed(_ error: String) -> TaskOutcome { TaskOutcome(state: .failed, error: error) }
}

/// What an execution works with.
struct TaskEnvironment: Sendable {
    var store: Store
    var gateway: any TentacleGateway
    var recorder: TaskRecorder
    var cancel: CancelSignal
    var retry = RetryPolicy.standard

    var executor: ScriptExecutor<ContinuousClock> {
        ScriptExecutor(gateway: gateway, clock: ContinuousClock(), retry: retry)
    }
}

/// How one node of the tree ended.
enum NodeResult: Sendable, Equatable {
    case success
    case warning
    case failed(String)
    case canceled

    var status: ActivityNode.Status {
        switch self {
        case .success: .success
        case .warning: .successWithWarning
        case .failed: .failed
        case .canceled: .canceled
        }
    }

    /// The result of a group: one failure fails it.
    static func combined(_ results: [NodeResult]) -> NodeResult {
        let failures = results.compactMap { result -> String? in
            guard case .failed(let reason) = result else { return nil }
            return reason
        }
        if let first = failures.first {
            return .failed(failures.count == 1 ? first : "\(first) (and \(failures.count - 1) more)")
        }
        if results.contains(.canceled) { return .canceled }
        return results.contains(.warning) ? .warning : .success
    }
}

extension TaskEnvironment {
    /// How long the agent may wait for the script's end before it answers the start.
    ///
    /// The real server's five seconds (tentacle-services.md 15.1) spare a call for short scripts, but keep the first
    /// lines back, and a polling agent's only connection busy, so that a cancel cannot reach it.
    private static let startWait = Duration.milliseconds(200)

    /// Runs one script on one target or worker; its lines and its end go to `nodeID`.
    func runScript(
        _ body: String,
        on target: any KnownAgent,
        nodeID: String,
        isolation: ScriptIsolationLevel
    ) async throws -> (result: NodeResult, log: NodeScriptLog) {
        let log = NodeScriptLog(recorder: recorder, nodeID: nodeID)
        let command = StartScriptCommandV2(
            scriptTicket: .unique(),
            scriptBody: body,
            taskID: recorder.taskID,
            durationToWaitForScriptToFinish: Self.startWait,
            isolation: isolation,
            isolationMutexName: ScriptIsolationDefault.mutexName
        )
        do {
            let exitCode = try await executor.run(command, on: target.endpoint, log: log, cancel: cancel)
            try await log.finish()
            if exitCode == 0 { return (log.worst == .info ? .success : .warning, log) }
            let reason = log.failureMessage ?? Self.explanation(exitCode)
            try await log.note(.error, reason)
            return (.failed("\(target.name): \(reason)"), log)
        } catch is ScriptCancelled {
            try await log.finish()
            try await log.note(.warning, "Script execution was cancelled")
            return (.canceled, log)
        } catch let error as TentacleCallError {
            try await log.finish()
            try await log.note(.error, "The machine '\(target.name)' at \(target.endpoint.uri) failed: \(error)")
            return (.failed("\(target.name): \(error)"), log)
        }
    }

    /// A text for an exit code; the negative ones are the agent's own (tentacle-services.md 3.2).
    private static func explanation(_ exitCode: Int32) -> String {
        switch exitCode {
        case ScriptExitCode.fatal: "The agent could not run the script (exit code \(exitCode))."
        case ScriptExitCode.shellNotStarted: "The agent could not start the shell (exit code \(exitCode))."
        case ScriptExitCode.timeout: "Another script kept the agent busy for too long (exit code \(exitCode))."
        case ScriptExitCode.unknownScript: "The agent does not know the script (exit code \(exitCode))."
        case ScriptExitCode.unknownResult:
            "The outcome is unknown: the agent was restarted while the script ran (exit code \(exitCode))."
        default: "Script exited with code \(exitCode)"
        }
    }
}

/// Runs `body` for each element, at most `limit` at once; results in the elements' order.
func inParallel<Element: Sendable, Result: Sendable>(
    _ elements: [Element],
    limit: Int,
    _ body: @escaping @Sendable (Element) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: (Int, Result).self) { group in
        var results: [Int: Result] = [:]
        var next = elements.indices.makeIterator()
        for _ in 0..<max(1, limit) {
            guard let index = next.next() else { break }
            group.addTask { (index, try await body(elements[index])) }
        }
        while let (index, result) = try await group.next() {
            results[index] = result
            if let index = next.next() { group.addTask { (index, try await body(elements[index])) } }
        }
        return elements.indices.compactMap { results[$0] }
    }
}
