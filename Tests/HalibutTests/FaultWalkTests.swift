import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

// One walk at a time: side by side they would starve the tests that have short limits.
@Suite("A conversation that breaks at any byte", .serialized, .timeLimit(.minutes(5)))
struct FaultWalkTests {
    /// Bytes from one cut to the next; `HALIBUT_EVERY_BYTE=1` cuts at each.
    ///
    /// A prime, so that over the records' lengths every part of a record is met.
    private static let step = getenv("HALIBUT_EVERY_BYTE") == nil ? 97 : 1

    struct Walk: Sendable, CustomTestStringConvertible {
        var mode: FaultFixture.Mode
        var fault: FaultyForwarder.Fault
        var direction: FaultyForwarder.Direction

        var testDescription: String { "\(self.mode), \(self.fault) \(self.direction)" }
    }

    static let walks = FaultFixture.Mode.allCases.flatMap { mode in
        [FaultyForwarder.Fault.reset, .finish, .halfClose].flatMap { fault in
            FaultyForwarder.Direction.allCases.map { Walk(mode: mode, fault: fault, direction: $0) }
        }
    }

    @Test("ends each call once, with the right class of error, and the next call works", arguments: walks)
    func walk(_ walk: Walk) async throws {
        let total = try #require(try await CleanRun.of(walk.mode).total[walk.direction])
        var limits = HalibutLimits.brisk
        limits.minimumPollingBackoff = .milliseconds(1)
        limits.maximumPollingBackoff = .milliseconds(1)
        try await FaultFixture.with(walk.mode, client: limits, service: limits) { fixture in
            for offset in stride(from: 0, through: total, by: Self.step) {
                try await self.breaks(fixture, FaultyForwarder.Trigger(walk.fault, walk.direction, after: offset))
            }
        }
    }

    /// Two calls over a new connection that breaks after so many bytes.
    private func breaks(_ fixture: FaultFixture, _ trigger: FaultyForwarder.Trigger) async throws {
        await fixture.client.close()
        fixture.forwarder.arm(trigger)
        await fixture.forwarder.connections.last?.apply(.reset)
        for number in 1...2 {
            let name = "\(trigger.after)/\(number)"
            let outcome = try await FaultFixture.Outcome { try await fixture.hello(name) }
            let executions = fixture.executions(name)
            switch outcome {
            case .answered: #expect(executions == 1, "\(name): answered")
            case .brokeWhileConnecting: #expect(executions == 0, "\(name): \(outcome)")
            case .brokeWhileTransferring: #expect(executions <= 1, "\(name): \(outcome)")
            case .failed: Issue.record("\(name): \(outcome)")
            }
        }
        fixture.forwarder.disarm()
        try await fixture.helloAtLast()
        try await fixture.forwarder.untilOpen(atMost: 1)
    }
}
