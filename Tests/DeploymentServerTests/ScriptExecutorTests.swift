import DeploymentServer
import ServerDomain
import Synchronization
import TentacleContracts
import Testing

@Suite(.timeLimit(.minutes(4))) struct ScriptExecutorTests {
    static let endpoint = AgentEndpoint(style: .listening, uri: "https://h:1/", thumbprint: "A")

    final class Log: ScriptLog {
        private let state = Mutex((output: [String](), notes: [String]()))
        var output: [String] { state.withLock { $0.output } }
        var notes: [String] { state.withLock { $0.notes } }

        func deliver(_ output: [ProcessOutput]) async throws {
            state.withLock { $0.output += output.map(\.text) }
        }

        func note(_ category: TaskLogEntry.Category, _ text: String) async throws {
            state.withLock { $0.notes.append("\(category.rawValue): \(text)") }
        }
    }

    struct Outcome {
        var exitCode: Result<Int32, any Error>
        var log: Log
        var clock: AutomaticClock
    }

    static func run(
        _ gateway: FakeGateway,
        retry: RetryPolicy = .standard,
        endpoint: AgentEndpoint = Self.endpoint,
        cancel: CancelSignal = CancelSignal(),
        clock: AutomaticClock = AutomaticClock()
    ) async -> Outcome {
        let log = Log()
        let executor = ScriptExecutor(gateway: gateway, clock: clock, retry: retry)
        let command = StartScriptCommandV2(scriptTicket: ScriptTicket(taskID: "t"), scriptBody: "x")
        do {
            let code = try await executor.run(command, on: endpoint, log: log, cancel: cancel)
            return Outcome(exitCode: .success(code), log: log, clock: clock)
        } catch {
            return Outcome(exitCode: .failure(error), log: log, clock: clock)
        }
    }

    static func unreachable(_ phase: TentacleCallError.Phase = .connecting) -> TentacleCallError {
        TentacleCallError(.network, phase: phase, "no route")
    }

    /// Fails so many times, then succeeds.
    final class Failures: Sendable {
        private let left: Mutex<Int>
        init(_ count: Int) { left = Mutex(count) }
        func next(_ error: TentacleCallError = unreachable()) throws {
            let fails = left.withLock { left in
                left -= 1
                return left >= 0
            }
            if fails { throw error }
        }
    }

    @Test("start, follow by the cursor, complete; all lines in order")
    func follows() async throws {
        let gateway = FakeGateway(
            start: { command, _ in .running(command.scriptTicket, ["a"], next: 10) },
            status: { ticket, last, _ in
                last == 10 ? .running(ticket, ["b"], next: 20) : .complete(ticket, ["c"], exitCode: 7)
            }
        )
        let outcome = await Self.run(gateway)
        #expect(try outcome.exitCode.get() == 7)
        #expect(outcome.log.output == ["a", "b", "c"])
        #expect(gateway.calls == ["capabilities", "start", "status 10", "status 20", "complete"])
        #expect(outcome.clock.sleeps == [.milliseconds(345), .milliseconds(397)])
        #expect(
            outcome.log.notes.prefix(3) == [
                "Verbose: Determining ScriptService version to use",
                "Verbose: Discovered Tentacle capabilities: IScriptServiceV2",
                "Verbose: Using ScriptServiceV2",
            ]
        )
    }

    @Test("network failures are retried, with the log lines of 15.4")
    func retries() async throws {
        let failures = Failures(2)
        let gateway = FakeGateway(start: { command, _ in
            try failures.next()
            return .complete(command.scriptTicket, ["ok"])
        })
        let outcome = await Self.run(gateway)
        #expect(try outcome.exitCode.get() == 0)
        #expect(outcome.clock.sleeps == [.seconds(1), .seconds(2)])
        #expect(
            outcome.log.notes.contains(
                """
                Info: An error occurred communicating with Tentacle. This action will be retried after 2 seconds. \
                Retry attempt 2. Retries will be performed for up to 150 seconds.
                """
            )
        )
    }

    @Test("when the time is up the last error is thrown")
    func givesUp() async {
        let gateway = FakeGateway(capabilities: { _ in throw Self.unreachable() })
        let retry = RetryPolicy(isEnabled: true, duration: .seconds(20))
        let outcome = await Self.run(gateway, retry: retry, clock: AutomaticClock(jumpingOver: .seconds(9)))
        #expect(throws: TentacleCallError.self) { try outcome.exitCode.get() }
        // The wait of five seconds fits beforehand; taken off once more afterwards nothing is left of the twenty.
        #expect(outcome.clock.sleeps.map(\.components.seconds) == [1, 2, 3, 4, 5])
        #expect(
            outcome.log.notes.last
                == "Info: Could not communicate with Tentacle after 15 seconds. No more retries will be attempted."
        )
    }

    @Test(
        "what the agent refuses is not retried",
        arguments: [TentacleCallError.Code.service, .notFound, .unexpectedCertificate]
    )
    func notRetryable(code: TentacleCallError.Code) async {
        let gateway = FakeGateway(start: { _, _ in throw TentacleCallError(code, "no") })
        let outcome = await Self.run(gateway)
        #expect(throws: TentacleCallError.self) { try outcome.exitCode.get() }
        #expect(gateway.calls == ["capabilities", "start"])
    }

    @Test("an agent without the second script service is refused")
    func oldAgent() async {
        let gateway = FakeGateway(capabilities: { _ in ["IScriptService"] })
        let outcome = await Self.run(gateway)
        #expect(throws: TentacleCallError.self) { try outcome.exitCode.get() }
        #expect(gateway.calls == ["capabilities"])
    }

    @Test("cancelled while it runs: told, followed to its end, completed")
    func cancelled() async {
        let cancel = CancelSignal()
        let gateway = FakeGateway(
            start: { command, _ in .running(command.scriptTicket, [], next: 5) },
            status: { ticket, _, _ in
                cancel.cancel()
                return .running(ticket, ["late"], next: 6)
            },
            cancel: { ticket, last, _ in
                last == 6 ? .running(ticket, [], next: 8) : .complete(ticket, ["killed"], exitCode: -1)
            }
        )
        let outcome = await Self.run(gateway, cancel: cancel)
        #expect(throws: ScriptCancelled.self) { try outcome.exitCode.get() }
        #expect(gateway.calls.first { $0.hasPrefix("cancel") } != nil)
        #expect(gateway.calls.last == "complete")
        #expect(outcome.log.output.last == "killed")
    }

    @Test("cancelled while the first attempt still connects: fails at once, nothing to cancel over there")
    func cancelledWhileConnecting() async {
        let cancel = CancelSignal()
        let gateway = FakeGateway(start: { _, _ in
            cancel.cancel()
            throw TentacleCallError(.cancelled, phase: .connecting, "cancelled")
        })
        let outcome = await Self.run(gateway, cancel: cancel)
        #expect(throws: ScriptCancelled.self) { try outcome.exitCode.get() }
        #expect(gateway.calls == ["capabilities", "start"])
    }

    @Test("cancelled while the start may have arrived: counts as started")
    func cancelledWhileTransferring() async {
        let cancel = CancelSignal()
        let gateway = FakeGateway(start: { _, _ in
            cancel.cancel()
            throw TentacleCallError(.network, phase: .transferring, "broke")
        })
        let outcome = await Self.run(gateway, cancel: cancel)
        #expect(throws: ScriptCancelled.self) { try outcome.exitCode.get() }
        #expect(gateway.calls == ["capabilities", "start", "cancel 0", "complete"])
    }

    @Test("an agent lost while the script runs is sent a cancel once; there is nothing to complete")
    func lost() async {
        let gateway = FakeGateway(
            start: { command, _ in .running(command.scriptTicket, [], next: 3) },
            status: { _, _, _ in throw Self.unreachable() }
        )
        let outcome = await Self.run(gateway, retry: .none)
        #expect(throws: TentacleCallError.self) { try outcome.exitCode.get() }
        #expect(gateway.calls == ["capabilities", "start", "status 3", "cancel 3"])
    }

    @Test("a failing clean-up is a warning; the result stands")
    func completeFails() async throws {
        let gateway = FakeGateway(complete: { throw Self.unreachable() })
        let outcome = await Self.run(gateway)
        #expect(try outcome.exitCode.get() == 0)
        #expect(
            outcome.log.notes.last?.hasPrefix("Warning: Failed to cleanup the script working directory on Tentacle")
                == true
        )
    }

    @Test("a call that hangs in a retry is cut off by the time that is left")
    func hanging() async {
        let failures = Failures(1)
        let gateway = FakeGateway(start: { _, _ in
            try failures.next()
            try await CancelSignal().interrupting {
                try await AutomaticClock(jumpingOver: .zero).sleep(for: .seconds(1))
            }
            throw CancellationError()
        })
        let clock = AutomaticClock(jumpingOver: .seconds(149))
        let outcome = await Self.run(gateway, clock: clock)
        #expect(throws: (any Error).self) { try outcome.exitCode.get() }
        #expect(clock.sleeps.contains(.seconds(149)))
    }
}

@Suite struct RetryPolicyTests {
    @Test("waits grow to ten seconds and leave a second of the time")
    func waits() {
        let policy = RetryPolicy.standard
        #expect(policy.wait(afterFailure: 3, elapsed: .zero) == .seconds(3))
        #expect(policy.wait(afterFailure: 40, elapsed: .zero) == .seconds(10))
        #expect(policy.wait(afterFailure: 10, elapsed: .seconds(138)) == .seconds(10))
        #expect(policy.wait(afterFailure: 10, elapsed: .seconds(139)) == nil)
        #expect(RetryPolicy.none.wait(afterFailure: 1, elapsed: .zero) == nil)
        #expect(policy.limit(elapsed: .milliseconds(1500)) == .seconds(148))
    }

    @Test("the observer's waits of 15.1")
    func backoff() {
        #expect(ObserverBackoff.listening.delay(1) == .milliseconds(345))
        #expect(ObserverBackoff.polling.delay(1) == .milliseconds(420))
        #expect(ObserverBackoff.polling.delay(100) == .milliseconds(5000))
    }
}
