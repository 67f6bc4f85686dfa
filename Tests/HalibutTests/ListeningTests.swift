import BSON
import Halibut
import HalibutProtocol
import HalibutTesting
import SecureTransport
import Testing

@Suite("Listening mode", .timeLimit(.minutes(4)))
struct ListeningTests {
    @Test("calls, results and data streams in both directions")
    func calls() async throws {
        try await ListeningPair.with { try await exerciseCalls($0.client, $0.endPoint, $0.service) }
    }

    @Test("a bad call is answered with an error and the connection stays usable")
    func errors() async throws {
        try await ListeningPair.with { try await exerciseErrors($0.client, $0.endPoint) }
    }
}

@Suite("Polling mode", .timeLimit(.minutes(4)))
struct PollingTests {
    @Test("calls, results and data streams in both directions")
    func calls() async throws {
        try await PollingPair.with { try await exerciseCalls($0.client, $0.endPoint, $0.service) }
    }

    @Test("a bad call is answered with an error and the connection stays usable")
    func errors() async throws {
        try await PollingPair.with { try await exerciseErrors($0.client, $0.endPoint) }
    }
}
