import DeploymentServer
import Foundation
import ServerDomain
import Synchronization
import TentacleContracts

/// Agents that do what a test says; everything they are asked is noted.
final class FakeGateway: TentacleGateway, AgentDirectory {
    typealias Start = @Sendable (StartScriptCommandV2, AgentEndpoint) async throws -> ScriptStatusResponseV2
    typealias Status = @Sendable (ScriptTicket, Int64, AgentEndpoint) async throws -> ScriptStatusResponseV2

    private struct State {
        var calls: [String] = []
        var agents: [any KnownAgent] = []
        var proxies: [AgentProxy] = []
    }

    private let state = Mutex(State())
    private let onCapabilities: @Sendable (AgentEndpoint) async throws -> [String]
    private let onStart: Start
    private let onStatus: Status
    private let onCancel: Status
    private let onComplete: @Sendable () async throws -> Void

    init(
        capabilities: @escaping @Sendable (AgentEndpoint) async throws -> [String] = { _ in ["IScriptServiceV2"] },
        start: @escaping Start = { command, _ in .complete(command.scriptTicket, ["Hello"]) },
        status: @escaping Status = { ticket, _, _ in .complete(ticket, []) },
        cancel: @escaping Status = { ticket, _, _ in .complete(ticket, [], exitCode: -1) },
        complete: @escaping @Sendable () async throws -> Void = {}
    ) {
        (onCapabilities, onStart, onStatus, onCancel, onComplete) = (capabilities, start, status, cancel, complete)
    }

    var calls: [String] { state.withLock { $0.calls } }
    var agents: [any KnownAgent] { state.withLock { $0.agents } }
    var proxies: [AgentProxy] { state.withLock { $0.proxies } }

    func discover(host: String, port: Int, proxyID: String?) async throws -> String {
        guard host == "web01" else { throw TentacleCallError(.network, phase: .connecting, "connection refused") }
        return String(repeating: "C", count: 40)
    }

    private func note(_ call: String) { state.withLock { $0.calls.append(call) } }

    func rosterChanged(to roster: AgentRoster) async {
        state.withLock { ($0.agents, $0.proxies) = (roster.agents, roster.proxies) }
    }

    func capabilities(of endpoint: AgentEndpoint) async throws -> [String] {
        note("capabilities")
        return try await onCapabilities(endpoint)
    }

    func startScript(_ command: StartScriptCommandV2, on endpoint: AgentEndpoint) async throws -> ScriptStatusResponseV2
    {
        note("start")
        return try await onStart(command, endpoint)
    }

    func getStatus(_ request: ScriptStatusRequestV2, on endpoint: AgentEndpoint) async throws -> ScriptStatusResponseV2
    {
        note("status \(request.lastLogSequence)")
        return try await onStatus(request.ticket, request.lastLogSequence, endpoint)
    }

    func cancelScript(
        _ command: CancelScriptCommandV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        note("cancel \(command.lastLogSequence)")
        return try await onCancel(command.ticket, command.lastLogSequence, endpoint)
    }

    func completeScript(_ command: CompleteScriptCommandV2, on endpoint: AgentEndpoint) async throws {
        note("complete")
        try await onComplete()
    }
}

extension ScriptStatusResponseV2 {
    static func running(_ ticket: ScriptTicket, _ lines: [String], next: Int64) -> ScriptStatusResponseV2 {
        ScriptStatusResponseV2(
            ticket: ticket,
            logs: lines.map(line),
            nextLogSequence: next,
            state: .running,
            exitCode: 0
        )
    }

    static func complete(_ ticket: ScriptTicket, _ lines: [String], exitCode: Int32 = 0) -> ScriptStatusResponseV2 {
        ScriptStatusResponseV2(
            ticket: ticket,
            logs: lines.map(line),
            nextLogSequence: 99,
            state: .complete,
            exitCode: exitCode
        )
    }

    private static func line(_ text: String) -> ProcessOutput {
        ProcessOutput(source: .stdOut, occurred: .now, text: text)
    }
}

/// Lets everybody pass once as many as expected have arrived: proof that they were there at the same time.
actor Barrier {
    private let count: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { self.count = count }

    func arrive() async {
        if waiting.count + 1 == count {
            for continuation in waiting { continuation.resume() }
            waiting = []
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }
}
