import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import NIOCore
import Synchronization
import Testing

@Suite("Services that stop, and calls that are given up", .timeLimit(.minutes(4)))
struct StopAndCancelTests {
    // MARK: Stopping (halibut.md 3.3, 11.3)

    @Test("a polling service that stops finishes its call, answers, says END and closes")
    func pollingStops() async throws {
        try await FaultFixture.with(.polling) { fixture in
            let connection = try await fixture.forwarder.connection(1)
            try await fixture.waiting("g") { gate in
                fixture.cancelService()
                gate.open()
            }
            #expect(fixture.service.sawCancellation == [false])
            try await fixture.forwarder.untilOpen(atMost: 0)
            #expect(fixture.forwarder.connections.count == 1)
            #expect(fixture.log.count(of: "Expected NEXT or END") == 0)
            // The answer with END behind it, and close_notify.
            #expect(connection.records(.toListener).count >= 2)
        }
    }

    @Test("a polling service that stops sends all of a large answer first")
    func pollingStopsWithLargeAnswer() async throws {
        try await FaultFixture.with(.polling) { fixture in
            let count = 8 * 1024 * 1024
            let gate = fixture.service.gate("g")
            async let response = fixture.call("WaitThenDownload", ["g", .int64(Int64(count))])
            await gate.untilArrivals(1)
            fixture.cancelService()
            gate.open()
            let streams = try await response.streams
            #expect(streams.values.first?.length == Int64(count))
        }
    }

    @Test("an idle polling service stops at once, with END")
    func idlePollingStops() async throws {
        try await FaultFixture.with(.polling) { fixture in
            try await fixture.hello()
            await fixture.stopService()
            try await fixture.forwarder.untilOpen(atMost: 0)
            try await untilAsync { fixture.subscriberCount() == 0 }
            #expect(fixture.log.count(of: "The connection ended") == 0)
        }
    }

    @Test("a request that has come when a polling service stops is not executed and told so")
    func pollingStopsBeforeCall() async throws {
        var say = ByteBuffer()
        RemoteIdentity.server.write(to: &say)
        let request = RequestMessage(
            id: "1",
            activityID: UUID(),
            endPoint: nil,
            service: "IEchoService",
            method: "Nothing",
            parameters: []
        )
        try MessageEncoder().encode(.document(request.document), into: &say)
        let script = [RawListener.Line(after: "poll://abc123/\r\n\r\n", say: Array(say.readableBytesView))]
        let (pieces, heard) = AsyncStream.makeStream(of: ByteBuffer.self)
        let (stop, dispatcher) = (StopAtOnce(), EchoService())
        let listener = TestIdentities.client
        try await RawListener.with(identity: listener, script, heard: heard) { port in
            let service = try PollingService(
                subscription: "poll://abc123/",
                server: try ServiceEndPoint("https://127.0.0.1:\(port)/", remoteThumbprint: listener.thumbprint),
                identity: TestIdentities.service,
                dispatcher: dispatcher,
                configuration: HalibutConfiguration(limits: .brisk, logger: .quiet, observer: stop)
            )
            let running = stop.running.withLock { running in
                let task = Task { try await service.run() }
                running = task
                return task
            }
            var answer = ByteBuffer()
            for await piece in pieces {
                answer.writeImmutableBuffer(piece)
                if answer.readableBytesView.suffix(5).elementsEqual("END\r\n".utf8) { break }
            }
            _ = await running.result
            var opening = OpeningReader(maximumBytes: 100)
            #expect(opening.read(from: &answer, atEnd: false) == .messageExchange)
            var identity = IdentityReader(maximumBytes: 100)
            #expect(try identity.read(from: &answer) != nil)
            var decoder = MessageDecoder(limits: HalibutLimits())
            guard case .document(let document)? = try decoder.decode(&answer),
                case .error(let error) = try ResponseMessage(document).outcome
            else {
                Issue.record("no error came back")
                return
            }
            #expect(error.message == "The Tentacle service is shutting down and cannot process this request.")
            #expect(String(buffer: answer) == "END\r\n")
        }
        #expect(dispatcher.received.isEmpty)
    }

    @Test("a listening service that stops hangs up on its running call, which runs on and is not answered")
    func listeningStops() async throws {
        let service = EchoService()
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers([TestIdentities.client.thumbprint]),
            dispatcher: service,
            configuration: HalibutConfiguration(limits: .brisk, logger: .quiet)
        )
        let client = try HalibutClient(
            identity: TestIdentities.client,
            configuration: HalibutConfiguration(limits: .brisk, logger: .quiet)
        )
        let running = Task { try await listener.run() }
        let endPoint = try ServiceEndPoint(
            "https://127.0.0.1:\(try await listener.boundPort)/",
            remoteThumbprint: TestIdentities.service.thumbprint
        )
        let gate = service.gate("g")
        async let outcome = FaultFixture.Outcome {
            _ = try await client.call(endPoint, service: "IEchoService", method: "Wait", parameters: ["g"])
        }
        await gate.untilArrivals(1)
        running.cancel()
        // The caller learns of it while the call still waits at its gate.
        #expect(try await outcome == .brokeWhileTransferring)
        gate.open()
        _ = await running.result
        #expect(service.sawCancellation == [false])
        await client.close()
    }

    // MARK: Cancelling (halibut.md 12.1, 13)

    @Test("a call cancelled before a connection stands was not executed", arguments: FaultFixture.Mode.allCases)
    func cancelBefore(_ mode: FaultFixture.Mode) async throws {
        try await FaultFixture.with(
            mode,
            trigger: FaultyForwarder.Trigger(.stall, .toListener, after: 0)
        ) { fixture in
            let call = Task { try await fixture.hello() }
            if mode == .listening {
                _ = try await fixture.forwarder.brokenConnection()
            } else {
                try await untilAsync {
                    fixture.client.pollingQueues.depth(ofSubscription: FaultFixture.subscription) == 1
                }
            }
            call.cancel()
            let error = try await #require(throws: HalibutError.self) { try await call.value }
            #expect(error.code == .cancelled)
            #expect(error.phase == .connecting)
            #expect(error.message == "The Request was cancelled while Connecting.")
            #expect(fixture.service.received.isEmpty)
            // Only now has the polling service's connection come so far, perhaps.
            try await fixture.forwarder.brokenConnection().apply(.reset)
        }
    }

    @Test("a call cancelled while its request goes out may have been executed", arguments: FaultFixture.Mode.allCases)
    func cancelWhileSending(_ mode: FaultFixture.Mode) async throws {
        let offset = try await CleanRun.of(mode).message(mode.requests) + 300_000
        try await FaultFixture.with(
            mode,
            trigger: FaultyForwarder.Trigger(.hold, mode.requests, after: offset)
        ) { fixture in
            let stream = OutgoingDataStream(bytes: .random(4_000_000))
            let call = Task { try await fixture.call("CountBytes", [stream.reference(typed: true)], [stream]) }
            let connection = try await fixture.forwarder.brokenConnection()
            call.cancel()
            let error = try await #require(throws: HalibutError.self) { try await call.value }
            #expect(error.code == .cancelled)
            #expect(error.phase == .transferring)
            #expect(error.message == "The Request was cancelled while Transferring.")
            connection.release()
            try await fixture.helloAtLast()
            // All of it may have been in the sockets' buffers.
            #expect(fixture.service.received.count { $0.method == "CountBytes" } <= 1)
        }
    }

    @Test(
        "a call cancelled while it is executed closes the connection and runs on",
        arguments: FaultFixture.Mode.allCases
    )
    func cancelWhileExecuting(_ mode: FaultFixture.Mode) async throws {
        try await FaultFixture.with(mode) { fixture in
            let gate = fixture.service.gate("g")
            let call = Task { try await fixture.call("Wait", ["g"]) }
            await gate.untilArrivals(1)
            call.cancel()
            let error = try await #require(throws: HalibutError.self) { try await call.value }
            #expect(error.message == "The Request was cancelled while Transferring.")
            gate.open()
            try await fixture.helloAtLast()
            #expect(fixture.executions("g") == 1)
            #expect(fixture.service.sawCancellation == [false])
            try await fixture.forwarder.untilOpen(atMost: 1)
        }
    }

    @Test("calls cancelled at any moment end as cancelled or answered", arguments: FaultFixture.Mode.allCases)
    func cancelAnywhere(_ mode: FaultFixture.Mode) async throws {
        try await FaultFixture.with(mode) { fixture in
            for number in 0..<60 {
                let call = Task { try await fixture.hello("\(number)") }
                for _ in 0..<number { await Task.yield() }
                call.cancel()
                switch try await FaultFixture.Outcome({ _ = try await call.value }) {
                case .answered: #expect(fixture.executions("\(number)") == 1)
                case .failed(.cancelled, .connecting): #expect(fixture.executions("\(number)") == 0)
                case .failed(.cancelled, .transferring): break
                case let other: Issue.record("\(other)")
                }
            }
            try await fixture.helloAtLast()
            for number in 0..<60 { #expect(fixture.executions("\(number)") <= 1) }
        }
    }

    // MARK: Pool (halibut.md 10.1, 10.2)

    @Test("pooled connections that all died cost two tests at most, and the call runs once")
    func deadPool() async throws {
        var limits = HalibutLimits.brisk
        limits.heartbeatTimeout = .milliseconds(300)
        try await FaultFixture.with(.listening, client: limits) { fixture in
            let gate = fixture.service.gate("g")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<5 { group.addTask { _ = try await fixture.call("Wait", ["g"]) } }
                await gate.untilArrivals(5)
                gate.open()
                try await group.waitForAll()
            }
            #expect(fixture.client.idleConnectionCount == 5)
            // Nobody can tell that they are dead: each would have to be tested for its time.
            for connection in fixture.forwarder.connections { await connection.apply(.stall) }
            try await fixture.hello("once")
            #expect(fixture.executions("once") == 1)
            #expect(fixture.client.idleConnectionCount == 1)
            for connection in fixture.forwarder.connections.prefix(5) { await connection.apply(.reset) }
        }
    }

    @Test(
        "revoked trust resets the connection of a running call; the caller learns of it, and it runs once",
        arguments: FaultFixture.Mode.allCases
    )
    func revoked(_ mode: FaultFixture.Mode) async throws {
        try await FaultFixture.with(mode) { fixture in
            let gate = fixture.service.gate("g")
            async let outcome = FaultFixture.Outcome { _ = try await fixture.call("Wait", ["g"]) }
            await gate.untilArrivals(1)
            let peer = (mode == .listening ? TestIdentities.client : TestIdentities.service).thumbprint
            fixture.trust.removeTrust(peer)
            #expect(try await outcome == .brokeWhileTransferring)
            gate.open()
            fixture.trust.trust(peer)
            try await fixture.helloAtLast()
            #expect(fixture.executions("g") == 1)
        }
    }

    // MARK: Order of connects, refusal

    @Test("a connection overtaken by a later one hurts nobody", arguments: FaultFixture.Mode.allCases)
    func overtaken(_ mode: FaultFixture.Mode) async throws {
        try await FaultFixture.with(mode, connections: 2, holdsFirstConnect: true) { fixture in
            async let one = fixture.hello("1")
            let held = try await fixture.forwarder.connection(1)
            async let two = fixture.hello("2")
            try await fixture.forwarder.connection(2).forwarded(1, .toDialler)
            #expect(held.bytes(.toListener) == 0)
            held.release()
            #expect(try await one)
            #expect(try await two)
            #expect(fixture.executions("1") == 1)
            #expect(fixture.executions("2") == 1)
        }
    }

    @Test("a port that refuses and then opens", arguments: FaultFixture.Mode.allCases)
    func refused(_ mode: FaultFixture.Mode) async throws {
        try await FaultFixture.with(mode, refusing: true) { fixture in
            async let answered = fixture.hello()
            try await fixture.log.until("Connection refused")
            try await fixture.forwarder.startListening()
            #expect(try await answered)
            #expect(fixture.executions("x") == 1)
        }
    }
}

/// Stops a polling service when its server has taken it on.
private final class StopAtOnce: HalibutObserver {
    let running = Mutex<Task<Void, any Error>?>(nil)

    func pollingBegan(subscription: String, server: ServiceEndPoint) { self.running.withLock { $0 }?.cancel() }
}
