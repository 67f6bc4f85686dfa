import BenchmarkSupport
import Foundation
import Halibut
import HalibutProtocol
import NIOPosix
import SecureTransport

/// What a server with many polling services needs: server and services in a process each.
struct AgentFigures {
    private static let agents = 1000
    private static let bareConnections = 100

    let stage: Stage

    func run() async throws {
        let limit = try await bareLimits()
        let server = try OtherSide(stage)
        defer { try? server.stop() }
        let port = Int(try server.ask(.acceptPolling))
        try await run(server, port, limit)
        try await reconnectAtOnce(server, port, limit)
    }

    private struct Limits {
        /// Seconds for as many round trips, and for as many connections, one after the other.
        var roundTrips: Double
        var connections: Double
    }

    private func bareLimits() async throws -> Limits {
        let service = try OtherSide(stage)
        defer { try? service.stop() }
        let port = Int(try service.ask(.listenBare))
        let context = try TLSContext(client: stage.client)
        let group = MultiThreadedEventLoopGroup.singleton
        var (trips, connections): ([Duration], [Duration]) = ([], [])
        for _ in 0..<Self.bareConnections {
            let startedAt = ContinuousClock.now
            let connection = try await BareTLS.Connection(port: port, context: context, group: group)
            _ = try await connection.exchanges(count: 1, bytes: 400)
            connections.append(ContinuousClock.now - startedAt)
            trips += try await connection.exchanges(count: 20, bytes: 400)
            try await connection.close()
        }
        let scale = Double(Self.agents) / 1_000_000
        return Limits(roundTrips: trips.percentile(0.5) * scale, connections: connections.percentile(0.5) * scale)
    }

    /// As agents are set up.
    private func run(_ server: OtherSide, _ port: Int, _ limit: Limits) async throws {
        let agents = try OtherSide(stage)
        defer { try? agents.stop() }
        let count = Self.agents
        let before = try server.usage()
        let startedAt = ContinuousClock.now
        try agents.ask(.poll(port: port, count: count, withoutPause: false))
        try server.ask(.callAll(count: count))
        let connected = (ContinuousClock.now - startedAt).seconds
        let after = try server.usage()
        let kilobytes = (after.privateKilobytes - before.privateKilobytes) / Double(count)
        Figure("idle polling connection, server's memory", kilobytes, "KB", against: "budget", 40).report()
        let allocated = (after.allocatedKilobytes - before.allocatedKilobytes) / Double(count)
        Figure("idle polling connection, allocated on the server", allocated, "KB", against: "budget", 40).report()
        let sequential = "as many TLS connections in sequence"
        Figure("\(count) polling services connect", connected, "s", against: sequential, limit.connections).report()
        let calls = try (0..<5).map { _ in try server.ask(.callAll(count: count)) }
        Figure(
            "a call to each of \(count) polling services, best of 5",
            (calls.min() ?? 0) * 1000,
            "ms",
            against: "as many TLS round trips in sequence",
            limit.roundTrips * 1000
        ).report()
        try server.ask(.cut)
        let back = try server.ask(.callAll(count: count))
        let pause = HalibutLimits().minimumPollingBackoff.seconds
        Figure("\(count) polling services reconnect", back, "s", against: "of it their pause", pause).report()
    }

    /// All of them at the same moment, and without a pause: nothing but the work.
    private func reconnectAtOnce(_ server: OtherSide, _ port: Int, _ limit: Limits) async throws {
        let agents = try OtherSide(stage)
        defer { try? agents.stop() }
        try agents.ask(.poll(port: port, count: Self.agents, withoutPause: true))
        try server.ask(.callAll(count: Self.agents))
        let before = try server.usage()
        try server.ask(.cut)
        let back = try server.ask(.callAll(count: Self.agents))
        let after = try server.usage()
        Figure(
            "\(Self.agents) polling services reconnect without a pause",
            back,
            "s",
            against: "as many TLS connections in sequence",
            limit.connections
        ).report()
        Figure(
            "server's CPU of that",
            after.cpuSeconds - before.cpuSeconds,
            "s",
            against: "as many TLS connections in sequence",
            limit.connections
        ).report()
    }
}
