import BSON
import BenchmarkSupport
import Foundation
import Halibut
import HalibutProtocol
import NIOCore
import NIOPosix
import SecureTransport
import Synchronization

/// How long small calls take, beside a bare ping-pong of the same size; in turns, so that noise hits both.
struct CallFigures {
    private static let rounds = 20
    private static let callsPerRound = 200
    private static let connections = 200

    let stage: Stage

    func run() async throws {
        let service = try OtherSide(stage)
        defer { try? service.stop() }
        let bytes = try requestBytes()
        let context = try TLSContext(client: stage.client)
        let barePort = Int(try service.ask(.listenBare))
        let bare = try await connect(barePort, context)
        let client = try stage.makeClient()
        let listening = try stage.listening(Int(try service.ask(.listen)))
        let polling = try stage.polling()
        let trust = TrustedPeers([stage.service.thumbprint])
        let listener = stage.makePollingListener(client, trust: trust)
        try await withThrowingTaskGroup { group in
            group.addTask { try await listener.run() }
            try await service.ask(.poll(port: listener.boundPort, count: 1, withoutPause: false))
            try await warm(client, bare, bytes, listening: listening, polling: polling)
            group.cancelAll()
            while await group.nextResult() != nil {}
        }
        try await bare.close()
        try await coldListening(client, listening, barePort, context, bytes)
        await client.close()
        try await coldPolling(service, barePort, context, bytes)
    }

    /// The size on the wire of the request that is made.
    private func requestBytes() throws -> Int {
        let request = RequestMessage(
            id: "\(BenchService.name)::EchoAsync[1000] / \(UUID().uuidString)",
            activityID: UUID(),
            endPoint: EndPointDocument(
                baseURI: "https://127.0.0.1:10933/",
                remoteThumbprint: "\(stage.service.thumbprint)"
            ),
            service: BenchService.name,
            method: "Echo",
            parameters: [.string(BenchService.text)]
        )
        var buffer = ByteBuffer()
        try MessageEncoder().encode(.document(request.document), into: &buffer)
        return buffer.readableBytes
    }

    private func connect(_ port: Int, _ context: TLSContext) async throws -> BareTLS.Connection {
        try await BareTLS.Connection(port: port, context: context, group: MultiThreadedEventLoopGroup.singleton)
    }

    private func timed(_ body: () async throws -> Void) async throws -> Duration {
        let startedAt = ContinuousClock.now
        try await body()
        return ContinuousClock.now - startedAt
    }

    private func report(_ name: String, _ times: [Duration], _ reference: String, _ references: [Duration]) {
        for (percentile, share) in [("p50", 0.5), ("p99", 0.99)] {
            Figure(
                "\(name), \(percentile)",
                times.percentile(share),
                "µs",
                against: reference,
                references.percentile(share)
            ).report()
        }
    }

    // MARK: Warm

    private func warm(
        _ client: HalibutClient,
        _ bare: BareTLS.Connection,
        _ bytes: Int,
        listening: ServiceEndPoint,
        polling: ServiceEndPoint
    ) async throws {
        var (listeningTimes, pollingTimes): ([Duration], [Duration]) = ([], [])
        var (single, double): ([Duration], [Duration]) = ([], [])
        for round in 0...Self.rounds {
            // The first round warms up.
            if round == 1 { (listeningTimes, pollingTimes, single, double) = ([], [], [], []) }
            for _ in 0..<Self.callsPerRound {
                try await listeningTimes.append(timed { try await client.echo(listening) })
            }
            try await single += bare.exchanges(count: Self.callsPerRound, bytes: bytes)
            for _ in 0..<Self.callsPerRound { try await pollingTimes.append(timed { try await client.echo(polling) }) }
            try await double += bare.exchanges(count: Self.callsPerRound, bytes: bytes, roundTrips: 2)
        }
        // NEXT and PROCEED, then the call.
        report("call, listening, warm", listeningTimes, "2 TLS round trips of \(bytes) bytes", double)
        report("call, listening, warm", listeningTimes, "1 TLS round trip of \(bytes) bytes", single)
        report("call, polling, warm", pollingTimes, "1 TLS round trip of \(bytes) bytes", single)
    }

    // MARK: Cold

    /// Connects, shakes hands and exchanges once.
    private func bareCold(_ port: Int, _ context: TLSContext, _ bytes: Int) async throws -> Duration {
        let startedAt = ContinuousClock.now
        let connection = try await connect(port, context)
        _ = try await connection.exchanges(count: 1, bytes: bytes)
        let took = ContinuousClock.now - startedAt
        try await connection.close()
        return took
    }

    private func coldListening(
        _ client: HalibutClient,
        _ endPoint: ServiceEndPoint,
        _ barePort: Int,
        _ context: TLSContext,
        _ bytes: Int
    ) async throws {
        var (ours, bare): ([Duration], [Duration]) = ([], [])
        for _ in 0..<Self.connections {
            await client.close()
            try await ours.append(timed { try await client.echo(endPoint) })
            try await bare.append(bareCold(barePort, context, bytes))
        }
        report("call, listening, cold", ours, "TCP, TLS and 1 round trip of \(bytes) bytes", bare)
    }

    /// From the dial of a polling service to the arrival of a call that was waiting for it.
    private func coldPolling(_ server: OtherSide, _ barePort: Int, _ context: TLSContext, _ bytes: Int) async throws {
        let port = Int(try server.ask(.acceptPolling))
        try server.ask(.keepCalling)
        var (ours, bare): ([Duration], [Duration]) = ([], [])
        for _ in 0..<Self.connections {
            try await ours.append(untilFirstCall(port))
            try await bare.append(bareCold(barePort, context, bytes))
        }
        report("polling service, dial to first call", ours, "TCP, TLS and 1 round trip of \(bytes) bytes", bare)
    }

    private func untilFirstCall(_ port: Int) async throws -> Duration {
        let (arrivals, arrived) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
        let service = try stage.makePollingService(port: port, dispatcher: BenchService { arrived.yield(.now) })
        return await withThrowingTaskGroup { group in
            let startedAt = ContinuousClock.now
            group.addTask { try await service.run() }
            var arrival = startedAt
            for await instant in arrivals {
                arrival = instant
                break
            }
            group.cancelAll()
            while await group.nextResult() != nil {}
            return arrival - startedAt
        }
    }
}
