package import ServerDomain
package import TentacleContracts

/// Where the lines about one script go, in order.
package protocol ScriptLog: Sendable {
    /// Output of the script itself.
    func deliver(_ output: [ProcessOutput]) async throws
    /// A line of the server about it.
    func note(_ category: TaskLogEntry.Category, _ text: String) async throws
}

/// A script that was stopped because the user asked for it.
package struct ScriptCancelled: Error, CustomStringConvertible {
    package init() {}
    package var description: String { "Script execution was cancelled" }
}

/// Runs one script on one agent: start, follow, complete (tentacle-services.md 15.3), with retries (15.4).
package struct ScriptExecutor<ClockType: Clock>: Sendable where ClockType.Duration == Duration {
    /// After a cancellation nobody wants to wait for the clean-up (15.1).
    private static var completionLimit: Duration { .seconds(60) }

    let gateway: any TentacleGateway
    let clock: ClockType
    let retry: RetryPolicy

    package init(gateway: any TentacleGateway, clock: ClockType, retry: RetryPolicy) {
        (self.gateway, self.clock, self.retry) = (gateway, clock, retry)
    }

    /// The script's exit code.
    ///
    /// Throws `ScriptCancelled` after a cancellation, and the call's error when the agent is lost.
    package func run(
        _ command: StartScriptCommandV2,
        on endpoint: AgentEndpoint,
        log: any ScriptLog,
        cancel: CancelSignal
    ) async throws -> Int32 {
        try await chooseService(on: endpoint, log: log, cancel: cancel)
        var response = try await start(command, on: endpoint, log: log, cancel: cancel)
        try await log.deliver(response.logs)
        response = try await follow(response, on: endpoint, log: log, cancel: cancel)
        await complete(response.ticket, on: endpoint, log: log, limit: cancel.isCancelled ? Self.completionLimit : nil)
        if cancel.isCancelled { throw ScriptCancelled() }
        return response.exitCode
    }

    /// Asks the agent what it can do (15.2); only the second version of the script service is spoken here.
    private func chooseService(on endpoint: AgentEndpoint, log: any ScriptLog, cancel: CancelSignal) async throws {
        try await log.note(.verbose, "Determining ScriptService version to use")
        let capabilities = try await calling(log: log, cancel: cancel) { try await gateway.capabilities(of: endpoint) }
        try await log.note(.verbose, "Discovered Tentacle capabilities: \(capabilities.joined(separator: ","))")
        guard capabilities.contains(ServiceName.scriptServiceV2) else {
            throw TentacleCallError(
                .notFound,
                "The agent offers no \(ServiceName.scriptServiceV2); upgrade it to a version that does."
            )
        }
        try await log.note(.verbose, "Using ScriptServiceV2")
        try await log.note(
            .verbose,
            retry.isEnabled
                ? "RPC call retries are enabled. Retry timeout \(retry.duration.components.seconds) seconds"
                : "RPC call retries are disabled."
        )
    }

    /// Starts the script; cancelled while the call may have reached the agent, it counts as started.
    private func start(
        _ command: StartScriptCommandV2,
        on endpoint: AgentEndpoint,
        log: any ScriptLog,
        cancel: CancelSignal
    ) async throws -> ScriptStatusResponseV2 {
        do {
            return try await calling(log: log, cancel: cancel) { try await gateway.startScript(command, on: endpoint) }
        } catch let error as CallInterrupted where error.mayHaveArrived {
            return ScriptStatusResponseV2(
                ticket: command.scriptTicket,
                nextLogSequence: 0,
                state: .pending,
                exitCode: 0
            )
        } catch is CallInterrupted {
            throw ScriptCancelled()
        }
    }

    private static var fullPage: Int64 { 1_000_000 }

    private func follow(
        _ first: ScriptStatusResponseV2,
        on endpoint: AgentEndpoint,
        log: any ScriptLog,
        cancel: CancelSignal
    ) async throws -> ScriptStatusResponseV2 {
        let backoff = endpoint.style == .polling ? ObserverBackoff.polling : .listening
        var response = first
        var rounds = 0
        var cancelRounds = 0
        var delivered: Int64 = 0
        while response.state != .complete {
            if cancel.isCancelled {
                cancelRounds += 1
                if cancelRounds > 1 { try await clock.sleep(for: backoff.delay(cancelRounds - 1)) }
                response = try await sendCancel(response, on: endpoint, log: log)
            } else {
                rounds += 1
                // An agent that gives its log page by page has more: our own counts bytes in its sequence.
                let delay = delivered >= Self.fullPage ? .zero : backoff.delay(rounds)
                guard try await cancel.sleep(for: delay, on: clock) else { continue }
                guard let next = try await status(after: response, on: endpoint, log: log, cancel: cancel) else {
                    continue
                }
                delivered = next.nextLogSequence - response.nextLogSequence
                response = next
            }
            try await log.deliver(response.logs)
        }
        return response
    }

    /// The next status; nil when the user cancelled meanwhile.
    private func status(
        after response: ScriptStatusResponseV2,
        on endpoint: AgentEndpoint,
        log: any ScriptLog,
        cancel: CancelSignal
    ) async throws -> ScriptStatusResponseV2? {
        let request = ScriptStatusRequestV2(ticket: response.ticket, lastLogSequence: response.nextLogSequence)
        do {
            return try await calling(log: log, cancel: cancel) { try await gateway.getStatus(request, on: endpoint) }
        } catch is CallInterrupted {
            return nil
        } catch {
            if cancel.isCancelled { return nil }
            // The script must not run on unseen; whether this arrives is not waited for longer than one attempt.
            let command = CancelScriptCommandV2(ticket: response.ticket, lastLogSequence: response.nextLogSequence)
            _ = try? await gateway.cancelScript(command, on: endpoint)
            throw error
        }
    }

    private func sendCancel(
        _ response: ScriptStatusResponseV2,
        on endpoint: AgentEndpoint,
        log: any ScriptLog
    ) async throws -> ScriptStatusResponseV2 {
        let command = CancelScriptCommandV2(ticket: response.ticket, lastLogSequence: response.nextLogSequence)
        return try await calling(log: log, cancel: CancelSignal()) {
            try await gateway.cancelScript(command, on: endpoint)
        }
    }

    /// One attempt; a failure is noted, the script's result stands.
    private func complete(
        _ ticket: ScriptTicket,
        on endpoint: AgentEndpoint,
        log: any ScriptLog,
        limit: Duration?
    ) async {
        let gateway = self.gateway
        do {
            try await limited(to: limit) {
                try await gateway.completeScript(CompleteScriptCommandV2(ticket: ticket), on: endpoint)
            }
        } catch {
            try? await log.note(.warning, "Failed to cleanup the script working directory on Tentacle: \(error)")
        }
    }
}

/// A call given up because of a cancellation.
struct CallInterrupted: Error {
    /// Whether the agent may have begun to carry it out.
    var mayHaveArrived: Bool
}

extension ScriptExecutor {
    /// Makes one call, and again by the retry rules.
    func calling<T: Sendable>(
        log: any ScriptLog,
        cancel: CancelSignal,
        _ operation: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        let start = clock.now
        var failures = 0
        var everConnected = false
        while true {
            do {
                let limit = failures == 0 ? nil : retry.limit(elapsed: start.duration(to: clock.now))
                return try await cancel.interrupting { try await limited(to: limit, operation) }
            } catch let error as CancelSignal.Interrupted {
                throw CallInterrupted(mayHaveArrived: everConnected || !error.underlying.isConnecting)
            } catch {
                if cancel.isCancelled { throw CallInterrupted(mayHaveArrived: everConnected || !error.isConnecting) }
                try Task.checkCancellation()
                everConnected = everConnected || !error.isConnecting
                failures += 1
                guard error.isRetryable else { throw error }
                try await waitForRetry(failures, since: start, error: error, log: log, cancel: cancel)
            }
        }
    }

    /// Waits before the next attempt; throws `error` when there is no time for one.
    private func waitForRetry(
        _ failures: Int,
        since start: ClockType.Instant,
        error: any Error,
        log: any ScriptLog,
        cancel: CancelSignal
    ) async throws {
        if let wait = retry.wait(afterFailure: failures, elapsed: start.duration(to: clock.now)) {
            try await log.note(
                .info,
                """
                An error occurred communicating with Tentacle. This action will be retried after \
                \(wait.components.seconds) seconds. Retry attempt \(failures). Retries will be performed for up to \
                \(retry.duration.components.seconds) seconds.
                """
            )
            try await log.note(.verbose, "\(error)")
            guard try await cancel.sleep(for: wait, on: clock) else {
                throw CallInterrupted(mayHaveArrived: !error.isConnecting)
            }
            if retry.wait(afterFailure: failures, elapsed: start.duration(to: clock.now)) != nil { return }
        }
        if retry.isEnabled {
            let seconds = start.duration(to: clock.now).components.seconds
            let end = failures > 1 ? " No more retries will be attempted." : ""
            try await log.note(.info, "Could not communicate with Tentacle after \(seconds) seconds.\(end)")
        }
        throw error
    }

    private func limited<T: Sendable>(
        to limit: Duration?,
        _ operation: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        guard let limit else { return try await operation() }
        return try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask { try await operation() }
            group.addTask {
                try await clock.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            if let value = try await group.next() ?? nil { return value }
            throw TentacleCallError(.network, "The agent did not answer within \(limit.components.seconds) seconds.")
        }
    }
}

extension Error {
    fileprivate var isRetryable: Bool { (self as? TentacleCallError)?.isRetryable ?? true }
    fileprivate var isConnecting: Bool { (self as? TentacleCallError)?.phase == .connecting }
}
