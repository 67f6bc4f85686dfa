import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import Testing

/// Where a conversation is when it breaks.
///
/// Phases up to the response are found by a byte count that a clean run told (``CleanRun``), the others by what the
/// peers do: a call waits at a gate, a connection idles.
enum FaultPhase: CaseIterable {
    case connect, handshakeToListener, handshakeToDialler, identityToListener, identityToDialler
    case request, requestStream, execution, response, responseStream
    /// Half of a control line on a connection that was idle: `NEXT`, `PROCEED` (polling: or the NUL request).
    case controlToListener, controlToDialler
    /// Pooled, or in the long poll.
    case idle

    /// Whether no byte of a request has gone out.
    var isBeforeRequest: Bool {
        switch self {
        case .connect, .handshakeToListener, .handshakeToDialler, .identityToListener, .identityToDialler: true
        default: false
        }
    }

    /// Whether the service has all of the request.
    var isExecuted: Bool {
        switch self {
        case .execution, .response, .responseStream: true
        default: false
        }
    }
}

struct FaultCase: Sendable, CustomTestStringConvertible {
    typealias Fault = FaultyForwarder.Fault

    var mode: FaultFixture.Mode
    var phase: FaultPhase
    var fault: Fault

    var testDescription: String { "\(self.mode), \(self.phase), \(self.fault)" }

    static func all(_ mode: FaultFixture.Mode) -> [FaultCase] {
        FaultPhase.allCases.flatMap { phase in
            Fault.allCases.map { FaultCase(mode: mode, phase: phase, fault: $0) }
        }
    }

    /// Where the fault is armed before anybody dials.
    func trigger(_ run: CleanRun) -> FaultyForwarder.Trigger? {
        func at(_ direction: FaultyForwarder.Direction, _ offset: Int) -> FaultyForwarder.Trigger {
            FaultyForwarder.Trigger(self.fault, direction, after: offset)
        }
        let (requests, responses) = (self.mode.requests, self.mode.responses)
        func identity(_ direction: FaultyForwarder.Direction) -> Int { run.identity[direction]?.lowerBound ?? 0 }
        return switch self.phase {
        case .connect: at(.toListener, 0)
        case .handshakeToListener: at(.toListener, identity(.toListener) / 2)
        case .handshakeToDialler: at(.toDialler, identity(.toDialler) / 2)
        case .identityToListener: at(.toListener, identity(.toListener) + 10)
        case .identityToDialler: at(.toDialler, identity(.toDialler) + 10)
        case .request: at(requests, run.message(requests) + 40)
        case .requestStream: at(requests, run.message(requests) + Self.streamBytes / 2)
        case .response: at(responses, run.message(responses) + 40)
        case .responseStream: at(responses, run.message(responses) + Self.streamBytes / 2)
        case .execution, .controlToListener, .controlToDialler, .idle: nil
        }
    }

    static let streamBytes = 200_000

    /// What must become of the call.
    var expected: FaultFixture.Outcome? {
        if self.fault == .hold { return .answered }
        if self.leavesDeadWaiter { return nil }
        switch (self.mode, self.phase, self.fault) {
        case (_, let phase, _) where phase.isBeforeRequest: return .answered
        case (_, .controlToListener, _), (_, .controlToDialler, _), (_, .idle, _): return .answered
        default: return .brokeWhileTransferring
        }
    }

    /// Whether a listener waits for work on behalf of a subscriber that cannot hear it.
    ///
    /// What is sent into such a connection is lost, or it is not, depending on whose time is up first.
    private var leavesDeadWaiter: Bool {
        guard self.mode == .polling, self.fault == .stall else { return false }
        return [.identityToDialler, .controlToListener, .controlToDialler, .idle].contains(self.phase)
    }

    /// The real limits, except where a stalled connection is only noticed because somebody's time is up.
    ///
    /// `patience` times as long as on an idle machine.
    func limits(patience: Int) -> HalibutLimits {
        var limits = HalibutLimits.brisk
        guard self.fault == .stall else { return limits }
        limits.receiveTimeout = .milliseconds(400) * patience
        limits.heartbeatTimeout = .milliseconds(400) * patience
        limits.nextRequestIdleTimeout = .milliseconds(600) * patience
        if self.expected != .answered {
            limits.receiveResponseTimeout = .milliseconds(400) * patience
            limits.receiveRequestTimeoutForPolling = .milliseconds(600) * patience
            limits.pollingQueueWaitTimeout = .milliseconds(100) * patience
        }
        return limits
    }
}

// One case at a time: side by side they would starve the tests that have short limits.
@Suite("A connection that breaks in any phase", .serialized, .timeLimit(.minutes(4)))
struct FaultMatrixTests {
    @Test(
        "is answered or failed as the phase demands, never executed twice",
        arguments: FaultFixture.Mode.allCases.flatMap(FaultCase.all).filter { $0.fault != .stall }
    )
    func breaks(_ faultCase: FaultCase) async throws { try await FaultExercise().exercise(faultCase) }
}

/// These wait for time-outs, mostly, and so they do it together.
@Suite("A connection that stalls in any phase", .timeLimit(.minutes(4)))
struct StallMatrixTests {
    @Test(
        "is given up in time, and answered or failed as the phase demands",
        arguments: FaultFixture.Mode.allCases.flatMap(FaultCase.all).filter { $0.fault == .stall }
    )
    func stalls(_ faultCase: FaultCase) async throws {
        do {
            try await FaultExercise(lastTry: false).exercise(faultCase)
        } catch is FaultExercise.Unexpected {
            // A machine that is busy may need longer for what does not stall.
            try await FaultExercise(patience: 8).exercise(faultCase)
        }
    }
}

/// Breaks a conversation as a case says and looks at what became of it.
private struct FaultExercise {
    /// The call came to something else than expected, and it is not the last try.
    struct Unexpected: Error {}

    var patience = 1
    var lastTry = true

    func exercise(_ faultCase: FaultCase) async throws {
        let run = try await CleanRun.of(faultCase.mode)
        var limits = faultCase.limits(patience: self.patience)
        // Polling connections say something only now and then; here it is at once.
        if faultCase.mode == .polling, [.controlToListener, .controlToDialler].contains(faultCase.phase) {
            limits.pollingQueueWaitTimeout = .milliseconds(20)
        }
        let (trigger, streamed) = (faultCase.trigger(run), FaultCase.streamBytes)
        try await FaultFixture.with(
            faultCase.mode,
            client: limits,
            service: limits,
            trigger: trigger
        ) { fixture in
            let (outcome, calls): Result
            switch faultCase.phase {
            case .execution: (outcome, calls) = try await self.whileExecuting(fixture, faultCase.fault)
            case .controlToListener, .controlToDialler, .idle:
                (outcome, calls) = try await self.whileIdle(fixture, faultCase)
            case .requestStream:
                let stream = OutgoingDataStream(bytes: .random(streamed))
                (outcome, calls) = try await self.armed(fixture, faultCase.fault) {
                    _ = try await fixture.call("Contents", ["x", stream.reference(typed: true)], [stream])
                }
            case .responseStream:
                (outcome, calls) = try await self.armed(fixture, faultCase.fault) {
                    let response = try await fixture.call("Download", [.int64(Int64(streamed))])
                    #expect(response.streams.values.first?.length == Int64(streamed))
                }
            case let phase where phase.isBeforeRequest && faultCase.mode == .polling:
                (outcome, calls) = try await self.beforeSubscribing(fixture, faultCase.fault)
            default:
                (outcome, calls) = try await self.armed(fixture, faultCase.fault) { try await fixture.hello() }
            }
            if let expected = faultCase.expected {
                guard outcome == expected || self.lastTry else { throw Unexpected() }
                #expect(outcome == expected)
            }
            let executions = fixture.service.received.count { $0.parameters.first != "before" }
            switch outcome {
            case .answered: #expect(executions >= 1)
            case .brokeWhileTransferring: break
            default: Issue.record("\(outcome)")
            }
            #expect(executions <= calls)
            if faultCase.phase.isExecuted { #expect(executions >= 1) }
            try await fixture.helloAtLast()
            try await fixture.forwarder.untilOpen(atMost: 1)
        }
    }

    /// What became of the call, and how many were made until the fault came to pass: one, unless the machine was too slow
    /// for the short limits of a test.
    private typealias Result = (outcome: FaultFixture.Outcome, calls: Int)

    private func call(
        until hasHappened: @Sendable () -> Bool,
        _ call: @Sendable () async throws -> Void
    ) async throws -> Result {
        var calls = 0
        while true {
            calls += 1
            let outcome = try await FaultFixture.Outcome(call)
            if hasHappened() { return (outcome, calls) }
            try Task.checkCancellation()
        }
    }

    /// A call during which an armed fault comes to pass.
    private func armed(
        _ fixture: FaultFixture,
        _ fault: FaultyForwarder.Fault,
        _ call: @escaping @Sendable () async throws -> Void
    ) async throws -> Result {
        async let outcome = self.call(until: { fixture.forwarder.brokenCount > 0 }, call)
        let broken = try await fixture.forwarder.brokenConnection()
        if fault == .hold { broken.release() }
        return try await outcome
    }

    /// A polling service that is hindered from identifying itself; the call comes when it has come back.
    private func beforeSubscribing(
        _ fixture: FaultFixture,
        _ fault: FaultyForwarder.Fault
    ) async throws -> Result {
        let broken = try await fixture.forwarder.brokenConnection()
        if fault == .hold { broken.release() }
        try await fixture.log.until("Polling as \(FaultFixture.subscription)")
        if fault != .stall { try await untilAsync { fixture.subscriberCount() == 1 } }
        return (try await FaultFixture.Outcome { try await fixture.hello() }, 1)
    }

    private func whileExecuting(
        _ fixture: FaultFixture,
        _ fault: FaultyForwarder.Fault
    ) async throws -> Result {
        let gate = fixture.service.gate("g")
        let isExecuting: @Sendable () -> Bool = { fixture.executions("g") > 0 }
        async let outcome = self.call(until: isExecuting) { _ = try await fixture.call("Wait", ["g"]) }
        await gate.untilArrivals(1)
        let connection = try #require(fixture.forwarder.connections.last)
        await connection.apply(fault, fixture.mode.responses)
        if fault == .hold {
            gate.open()
            connection.release()
        }
        let result = try await outcome
        gate.open()
        return result
    }

    private func whileIdle(_ fixture: FaultFixture, _ faultCase: FaultCase) async throws -> Result {
        try await fixture.helloAtLast("before")
        var connection = try #require(fixture.forwarder.connections.last)
        let direction: FaultyForwarder.Direction =
            faultCase.phase == .controlToListener ? .toListener : .toDialler
        if faultCase.phase == .idle {
            await connection.apply(faultCase.fault, direction)
            if faultCase.mode == .polling { try await self.untilNoticed(fixture, faultCase.fault) }
        } else {
            await connection.apply(faultCase.fault, direction, afterNext: 10)
            if faultCase.mode == .polling {
                // On a busy machine short limits may have replaced the connection before anything came to pass on it.
                while try await !fixture.forwarder.hasBroken(beforeReplacementOf: connection) {
                    connection = try #require(fixture.forwarder.connections.last)
                    await connection.apply(faultCase.fault, direction, afterNext: 10)
                }
                try await self.untilNoticed(fixture, faultCase.fault)
            }
        }
        let held = connection
        async let outcome = FaultFixture.Outcome { try await fixture.hello() }
        if faultCase.fault == .hold {
            if faultCase.phase != .idle { _ = try await fixture.forwarder.brokenConnection() }
            held.release()
        }
        return (try await outcome, 1)
    }

    /// A polling service comes back by itself; a call made before that may still go to the connection that broke.
    private func untilNoticed(_ fixture: FaultFixture, _ fault: FaultyForwarder.Fault) async throws {
        guard fault == .reset || fault == .finish || fault == .halfClose else { return }
        let again = try await fixture.forwarder.connection(2)
        try await fixture.forwarder.untilOpen(atMost: 1)
        let identified = try await CleanRun.of(fixture.mode).message(.toDialler)
        try await again.forwarded(identified, .toDialler)
    }
}

extension [UInt8] {
    static func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: .min ... .max) } }
}
