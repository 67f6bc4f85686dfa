import BSON
import Halibut
import HalibutProtocol
import HalibutTesting
import SecureTransport
import Testing

@Suite("What an observer sees", .timeLimit(.minutes(4)))
struct ObserverTests {
    private func call(_ client: HalibutClient, _ endPoint: ServiceEndPoint, _ method: String) async throws {
        _ = try await client.call(endPoint, service: "IEchoService", method: method, parameters: ["x"])
    }

    private func totals(_ metrics: HalibutMetrics, isClient: Bool) -> [String: Int] {
        let own = metrics.snapshot.calls.filter { $0.key.call.isClient == isClient }
        return Dictionary(uniqueKeysWithValues: own.map { ("\($0.key.call.method) \($0.key.outcome)", $0.value.count) })
    }

    @Test("a listening service and its client: connections, handshakes, dials, calls by outcome")
    func listening() async throws {
        let metrics = HalibutMetrics()
        try await ListeningPair.with(observer: metrics) { pair in
            for method in ["SayHello", "SayHello", "Crash", "NoSuch"] {
                try? await call(pair.client, pair.endPoint, method)
            }
            let snapshot = metrics.snapshot
            #expect(snapshot.connectionsOpen == 1)
            #expect(snapshot.clientsConnected == 1)
            #expect(snapshot.dials == 1)
            // One for each end.
            #expect(snapshot.handshakes.values.reduce(0, +) == 2)
            #expect(snapshot.handshakes.keys.first?.hasPrefix("TLSv1.3 TLS_") == true)
            let expected = ["SayHello success": 2, "Crash invocation": 1, "NoSuch notFound": 1]
            #expect(totals(metrics, isClient: true) == expected)
            #expect(totals(metrics, isClient: false) == expected)
            #expect(snapshot.callsMade == 0)
            #expect(snapshot.calls.values.allSatisfy { $0.longest > .zero && $0.duration >= $0.longest })
            let stranger = try await RawConnection.open(port: pair.port, identity: TestIdentities.stranger)
            stranger.send("MX\r\n\r\n")
            _ = await stranger.untilClosed()
            let nobody = try await RawConnection.open(port: pair.port, identity: nil)
            nobody.send("MX\r\n\r\n")
            _ = await nobody.untilClosed()
        }
        let snapshot = metrics.snapshot
        #expect(snapshot.denials == [.untrusted: 1, .noCertificate: 1])
        #expect(snapshot.lastDenials[.untrusted]?.thumbprint == TestIdentities.stranger.thumbprint)
        #expect(snapshot.lastDenials[.untrusted]?.remote.hasPrefix("127.0.0.1:") == true)
        #expect(snapshot.connectionsAccepted == 3)
        #expect(snapshot.connectionsOpen == 0)
        #expect(snapshot.clientsConnected == 0)
    }

    @Test("a polling service: subscriptions, back-off, the queue's depth and age, time-outs")
    func polling() async throws {
        let metrics = HalibutMetrics()
        let log = LogCollector()
        try await PollingPair.with(logger: log.logger, observer: metrics) { pair in
            try await call(pair.client, pair.endPoint, "SayHello")
            #expect(metrics.snapshot.subscribersConnected == 1)
            pair.trust.removeTrust(TestIdentities.service.thumbprint)
            try await log.until("Halibut client exception")
            var endPoint = pair.endPoint
            endPoint.pollingRequestQueueTimeout = .milliseconds(50)
            try? await call(pair.client, endPoint, "SayHello")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try? await call(pair.client, pair.endPoint, "SayHello") }
                try await untilAsync { !pair.client.pollingQueues.waiting.isEmpty }
                let waiting = try #require(pair.client.pollingQueues.waiting.first)
                #expect(waiting.subscription == "poll://abc123/")
                #expect(waiting.depth == 1)
                #expect(waiting.age > .zero)
                group.cancelAll()
            }
            #expect(pair.client.pollingQueues.waiting.isEmpty)
            try await log.until("which is not in the list of thumbprints that we trust")
        }
        let snapshot = metrics.snapshot
        #expect(snapshot.polling.keys.first?.hasPrefix("poll://abc123/ https://127.0.0.1:") == true)
        #expect(snapshot.polling.values.first?.lastIdentified != nil)
        #expect(snapshot.polling.values.first?.lastPause ?? .zero > .zero)
        let outcomes = ["SayHello success": 1, "SayHello pickupTimeout": 1, "SayHello cancelled": 1]
        #expect(totals(metrics, isClient: true) == outcomes)
        #expect((snapshot.denials[.untrusted] ?? 0) > 0)
        #expect(snapshot.subscribersConnected == 0)
    }

    @Test("failed dials by cause, and a bounded number of names that a peer invents")
    func failures() async throws {
        let metrics = HalibutMetrics()
        let client = try HalibutClient(
            identity: TestIdentities.client,
            configuration: HalibutConfiguration(limits: .brisk, logger: .quiet, observer: metrics)
        )
        var endPoint = try ServiceEndPoint("https://127.0.0.1:1/", remoteThumbprint: nil)
        endPoint.retryCountLimit = 2
        endPoint.retryListeningSleepInterval = .milliseconds(1)
        await #expect(throws: HalibutError.self) { try await call(client, endPoint, "SayHello") }
        #expect(metrics.snapshot.dialFailures == ["connectionRefused": 2])
        for number in 0..<2000 {
            let call = ObservedCall(isClient: false, isPolling: false, service: "S", method: "\(number)")
            metrics.callBegan(call)
            metrics.callEnded(call, after: .zero, outcome: .notFound)
        }
        #expect(metrics.snapshot.calls.count <= 1001)
        #expect(metrics.snapshot.calls.values.reduce(0) { $0 + $1.count } == 2001)
    }

    @Test("the spool counts what data streams take, until the call ends")
    func spool() async throws {
        let spool = SpoolDirectory()
        let service = EchoService()
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers([TestIdentities.client.thumbprint]),
            dispatcher: service,
            configuration: HalibutConfiguration(spool: spool, logger: .quiet)
        )
        let client = try HalibutClient(identity: TestIdentities.client, configuration: .init(logger: .quiet))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            let endPoint = try ServiceEndPoint(
                "https://127.0.0.1:\(try await listener.boundPort)/",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            let gate = service.gate("g")
            let stream = OutgoingDataStream(bytes: [UInt8](repeating: 1, count: 1000))
            group.addTask {
                _ = try await client.call(
                    endPoint,
                    service: "IEchoService",
                    method: "Wait",
                    parameters: ["g", stream.reference(typed: true)],
                    streams: [stream]
                )
            }
            await gate.untilArrivals(1)
            #expect(spool.bytesInUse == 1000)
            gate.open()
            try await untilAsync { spool.bytesInUse == 0 }
            await client.close()
            group.cancelAll()
        }
    }
}
