import BSON
import Halibut
import HalibutProtocol
import HalibutTesting
import SecureTransport
import Testing

/// A service changes its certificate while calls go on.
@Suite("Change of a service's certificate", .timeLimit(.minutes(4)))
struct CertificateRotationTests {
    private static let old = TestIdentities.service
    private static let new = TestIdentities.stranger
    private static let server = TestIdentities.client

    /// A listening service with an identity that changes, and its client.
    private struct Listening: Sendable {
        var identity: ServiceIdentity
        var service: EchoService
        var client: HalibutClient
        var port: Int
        var taken: Watched<[InformedPeer]>

        func endPoint(_ identity: TLSIdentity) throws -> ServiceEndPoint {
            var endPoint = try ServiceEndPoint("https://127.0.0.1:\(port)", remoteThumbprint: identity.thumbprint)
            endPoint.retryListeningSleepInterval = .milliseconds(10)
            return endPoint
        }

        func call(_ identity: TLSIdentity, retrying: Bool = false) async throws {
            var endPoint = try endPoint(identity)
            if retrying {
                endPoint.retriesUnexpectedCertificate = true
                // The listener must have seen the refusal by then: as long as in service.
                endPoint.retryListeningSleepInterval = .seconds(1)
            }
            let result = try await client.call(
                endPoint,
                service: "IEchoService",
                method: "SayHello",
                parameters: [.string("x")]
            )
            #expect(result.value == .string("x..."))
        }

        static func with(_ body: @Sendable (Listening) async throws -> Void) async throws {
            let taken = Watched<[InformedPeer]>([])
            let identity = ServiceIdentity(old) { peer in taken.change { $0.append(peer) } }
            let service = EchoService()
            let listener = HalibutListener(
                host: "127.0.0.1",
                port: 0,
                identity: identity,
                trust: TrustedPeers([server.thumbprint]),
                dispatcher: service,
                configuration: .brisk
            )
            let client = try HalibutClient(identity: server, configuration: .brisk)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await listener.run() }
                let port = try await listener.boundPort
                try await body(
                    Listening(identity: identity, service: service, client: client, port: port, taken: taken)
                )
                await client.close()
                group.cancelAll()
                while let _ = await group.nextResult() {}
            }
        }
    }

    @Test("listening: a server that has been told is called on without a failure, before, at and after the change")
    func listeningTold() async throws {
        try await Listening.with { pair in
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new))
            try await pair.call(Self.old)
            let endPoint = try pair.endPoint(Self.old)
            async let running = pair.client.call(
                endPoint,
                service: "IEchoService",
                method: "Wait",
                parameters: [.string("over")]
            )
            await pair.service.gate("over").untilArrivals(1)
            let told = InformedPeer(thumbprint: Self.server.thumbprint)
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new, informed: [told]))
            try await withThrowingDiscardingTaskGroup { group in
                // More than a pool keeps: each dials.
                for _ in 0..<8 { group.addTask { for _ in 0..<20 { try await pair.call(Self.new) } } }
            }
            pair.identity.change(to: Self.new)
            try await withThrowingDiscardingTaskGroup { group in
                for _ in 0..<8 { group.addTask { for _ in 0..<20 { try await pair.call(Self.new) } } }
            }
            pair.service.gate("over").open()
            #expect(try await running.value == .string("done"))
            // Nothing was learned that had not been said.
            #expect(pair.taken.value.isEmpty)
        }
    }

    @Test("listening: a server that was told by hand loses one call, and the next finds the new certificate")
    func listeningByHand() async throws {
        try await Listening.with { pair in
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new))
            try await pair.call(Self.old)
            let error = try await #require(throws: HalibutError.self) { try await pair.call(Self.new) }
            #expect(error.code == .unexpectedCertificate)
            // What the listener learned it learned when the client had hung up, which may be a moment after the error.
            var failures = 0
            while true {
                do {
                    try await pair.call(Self.new)
                    break
                } catch let error as HalibutError where error.code == .unexpectedCertificate {
                    failures += 1
                    try #require(failures < 100)
                }
            }
            for _ in 0..<5 { try await pair.call(Self.new) }
            try await pair.taken.until { $0.contains(InformedPeer(thumbprint: Self.server.thumbprint)) }
        }
    }

    @Test("listening: a server that tries once more loses no call, though nobody told us and calls come side by side")
    func listeningByHandWithRetry() async throws {
        try await Listening.with { pair in
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new))
            try await pair.call(Self.old)
            try await withThrowingDiscardingTaskGroup { group in
                for _ in 0..<8 { group.addTask { try await pair.call(Self.new, retrying: true) } }
            }
            // And back, as after a mistake.
            try await withThrowingDiscardingTaskGroup { group in
                for _ in 0..<8 { group.addTask { try await pair.call(Self.old, retrying: true) } }
            }
            // Somebody else's certificate is none of the two.
            let error = await #expect(throws: HalibutError.self) { try await pair.call(Self.server, retrying: true) }
            #expect(error?.code == .unexpectedCertificate)
        }
    }

    @Test("listening: a .NET server looks at the certificate after the handshake; a port check changes nothing")
    func listeningLateRefusal() async throws {
        try await Listening.with { pair in
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new))
            // A probe without a certificate, and one without TLS.
            let probe = try await RawConnection.open(port: pair.port, identity: nil)
            try await probe.hangUp()
            _ = await probe.untilClosed()
            let bare = try await RawConnection.open(port: pair.port, identity: nil, tls: false)
            await bare.close()
            try await pair.call(Self.old)
            await pair.client.close()
            let late = try await RawConnection.open(port: pair.port, identity: Self.server)
            late.closeOutput()
            _ = await late.untilClosed()
            let fresh = try HalibutClient(identity: Self.server, configuration: .brisk)
            var again = pair
            again.client = fresh
            try await again.call(Self.new)
            await fresh.close()
        }
    }

    /// A server that is polled; it takes the peers that it is told to take.
    private struct Polling: Sendable {
        var identity: ServiceIdentity
        var trust: TrustedPeers
        var service: EchoService
        var client: HalibutClient
        /// Who subscribed, in order.
        var subscribers: Watched<[Thumbprint]>
        var taken: Watched<[InformedPeer]>

        func call() async throws {
            let endPoint = try ServiceEndPoint("poll://abc/", remoteThumbprint: nil)
            let result = try await client.call(
                endPoint,
                service: "IEchoService",
                method: "SayHello",
                parameters: [.string("x")]
            )
            #expect(result.value == .string("x..."))
        }

        static func with(
            presenting: TLSIdentity = server,
            alternatives: Set<Thumbprint> = [],
            connections: Int = 2,
            _ body: @Sendable (Polling) async throws -> Void
        ) async throws {
            let taken = Watched<[InformedPeer]>([])
            let subscribers = Watched<[Thumbprint]>([])
            let identity = ServiceIdentity(old) { peer in taken.change { $0.append(peer) } }
            let service = EchoService()
            let trust = TrustedPeers([old.thumbprint])
            let client = try HalibutClient(identity: presenting, configuration: .brisk)
            let listener = HalibutListener(
                host: "127.0.0.1",
                port: 0,
                identity: presenting,
                trust: trust,
                pollingQueues: client.pollingQueues,
                authorise: { _, peer in
                    subscribers.change { $0.append(peer) }
                    return true
                },
                configuration: .brisk
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await listener.run() }
                let port = try await listener.boundPort
                let polling = try PollingService(
                    subscription: "poll://abc/",
                    server: try ServiceEndPoint("https://127.0.0.1:\(port)", remoteThumbprint: server.thumbprint),
                    alternatives: alternatives,
                    identity: identity,
                    dispatcher: service,
                    connections: connections,
                    configuration: .brisk
                )
                group.addTask { try await polling.run() }
                try await body(
                    Polling(
                        identity: identity,
                        trust: trust,
                        service: service,
                        client: client,
                        subscribers: subscribers,
                        taken: taken
                    )
                )
                group.cancelAll()
                while let _ = await group.nextResult() {}
            }
        }
    }

    @Test("polling: connections move over when the server is told, and no call of a stream fails")
    func pollingTold() async throws {
        try await Polling.with { pair in
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new))
            try await pair.call()
            pair.trust.trust(Self.new.thumbprint)
            let isOver = Watched(false)
            try await withThrowingDiscardingTaskGroup { group in
                for _ in 0..<3 {
                    group.addTask { while !isOver.value { try await pair.call() } }
                }
                let told = InformedPeer(thumbprint: Self.server.thumbprint, subscription: "poll://ABC")
                pair.identity.change(to: Self.old, overlap: .init(next: Self.new, informed: [told]))
                try await pair.subscribers.until { $0.count { $0 == Self.new.thumbprint } == 2 }
                // The old ones say END at their next word: then nobody is left whom this could hurt.
                while pair.trust.openConnectionCount > 2 { try await pair.call() }
                pair.trust.removeTrust(Self.old.thumbprint)
                pair.identity.change(to: Self.new)
                for _ in 0..<20 { try await pair.call() }
                isOver.change { $0 = true }
            }
            #expect(pair.subscribers.value.count == 4)
            #expect(pair.taken.value.isEmpty)
        }
    }

    @Test("polling: a server that changes its mind by itself is polled on at once, and what it took is reported")
    func pollingByHand() async throws {
        try await Polling.with { pair in
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new))
            try await pair.call()
            pair.trust.trust(Self.new.thumbprint)
            pair.trust.removeTrust(Self.old.thumbprint)
            for _ in 0..<20 { try await pair.call() }
            let peer = InformedPeer(thumbprint: Self.server.thumbprint, subscription: "poll://abc/")
            try await pair.taken.until { $0.contains(peer) }
        }
    }

    @Test("polling: told too early, the present certificate is used on")
    func pollingToldTooEarly() async throws {
        try await Polling.with(connections: 1) { pair in
            let told = InformedPeer(thumbprint: Self.server.thumbprint, subscription: "poll://abc/")
            pair.identity.change(to: Self.old, overlap: .init(next: Self.new, informed: [told]))
            for _ in 0..<5 { try await pair.call() }
            pair.identity.change(to: Self.old)
            for _ in 0..<5 { try await pair.call() }
            #expect(pair.taken.value.isEmpty)
        }
    }

    @Test("polling: a server may present any of the thumbprints that it is expected to have")
    func serverChanges() async throws {
        let renewed = TestIdentities.stranger
        try await Polling.with(presenting: renewed, alternatives: [renewed.thumbprint]) { try await $0.call() }
    }
}
