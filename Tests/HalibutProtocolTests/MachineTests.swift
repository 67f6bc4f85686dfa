import HalibutProtocol
import Testing

private func subscription() throws -> EndPointURI { try #require(EndPointURI("poll://abc/")) }

@Suite("Listener connection")
struct ListenerConnectionTests {
    /// A connection whose peer has been trusted and is about to say who it is.
    private func identifying() -> ListenerConnection {
        var machine = ListenerConnection()
        _ = machine.openingRead(.messageExchange)
        _ = machine.authorised(true)
        return machine
    }

    @Test("a client's conversation: request, response, NEXT, request, END")
    func client() {
        var machine = ListenerConnection()
        #expect(machine.openingRead(.messageExchange) == .authorise)
        #expect(machine.authorised(true) == .readIdentity)
        #expect(machine.identityRead(.client) == .sendIdentityThenReadRequest)
        #expect(machine.requestRead(id: "1") == .dispatch(id: "1"))
        #expect(machine.responseSent() == .readControlLine)
        #expect(machine.controlLineRead(.next) == .sendProceedThenReadRequest)
        #expect(machine.requestRead(id: "2") == .dispatch(id: "2"))
        #expect(machine.responseSent() == .readControlLine)
        #expect(machine.controlLineRead(.end) == .closeQuietly)
    }

    @Test("a subscriber's conversation: request, response, NEXT, NUL, NEXT, END")
    func subscriber() throws {
        var machine = identifying()
        #expect(machine.identityRead(.subscriber(try subscription())) == .lease(try subscription()))
        #expect(machine.leased(true) == .sendIdentityThenTakeRequest)
        #expect(machine.requestTaken(id: "1", peerHasNews: false) == .sendRequestThenReadResponse)
        #expect(machine.responseRead(id: "1") == .completeThenReadControlLine(id: "1"))
        #expect(machine.controlLineRead(.next) == .sendProceedThenTakeRequest)
        #expect(machine.requestTaken(id: nil, peerHasNews: false) == .sendNullThenReadControlLine)
        #expect(machine.controlLineRead(.next) == .sendProceedThenTakeRequest)
        #expect(machine.requestTaken(id: nil, peerHasNews: false) == .sendNullThenReadControlLine)
        #expect(machine.controlLineRead(.end) == .closeQuietly)
    }
}

@Suite("Client connection")
struct ClientConnectionTests {
    @Test("identify, exchange, test with NEXT, exchange again")
    func conversation() {
        var machine = ClientConnection()
        #expect(machine.begin() == .sendIdentityThenReadIdentity)
        #expect(machine.identityRead(.server) == .sendRequest)
        #expect(machine.requestBegins(id: "1") == .sendThenReadResponse)
        #expect(machine.responseRead(id: "1") == .complete)
        #expect(machine.begin() == .sendNextThenReadControlLine)
        #expect(machine.controlLineRead(.proceed) == .sendRequest)
        #expect(machine.requestBegins(id: "2") == .sendThenReadResponse)
        #expect(machine.responseRead(id: "2") == .complete)
    }
}

@Suite("Polling service connection")
struct PollingServiceConnectionTests {
    @Test("identify, request, NUL, request")
    func conversation() {
        var machine = PollingServiceConnection()
        #expect(machine.identityRead(.server) == .resetBackoffThenReadRequest)
        #expect(machine.requestRead(id: "1") == .dispatch(id: "1"))
        #expect(machine.responseSent() == .sendNextThenReadControlLine)
        #expect(machine.controlLineRead(.proceed) == .readRequest)
        #expect(machine.requestRead(id: nil) == .sendNextThenReadControlLine)
        #expect(machine.controlLineRead(.proceed) == .readRequest)
        #expect(machine.requestRead(id: "2") == .dispatch(id: "2"))
    }
}

@Suite("Polling queue")
struct PollingQueueTests {
    private var queue = PollingQueue<Int, String>()

    @Test("first in, first out; a waiting connection gets the call at once")
    mutating func order() {
        #expect(queue.enqueue(1) == .wait)
        #expect(queue.enqueue(2) == .wait)
        #expect(queue.depth == 2)
        #expect(queue.take(by: "a") == .take(1))
        #expect(queue.take(by: "b") == .take(2))
        #expect(queue.take(by: "c") == .wait)
        #expect(queue.take(by: "d") == .wait)
        #expect(queue.enqueue(3) == .handOver(to: "c"))
        for item in 1...3 { #expect(queue.complete(item) == true) }
        #expect(!queue.isUnused)
        #expect(queue.stopWaiting("d") == true)
        #expect(queue.isUnused)
    }

    @Test("a connection stops waiting once, and not after it was handed a call")
    mutating func stopWaiting() {
        _ = queue.take(by: "a")
        #expect(queue.enqueue(1) == .handOver(to: "a"))
        #expect(queue.stopWaiting("a") == false)
    }

    @Test("the pickup time counts only until the call is collected")
    mutating func pickup() {
        _ = queue.enqueue(1)
        #expect(queue.pickupTimedOut(1) == true)
        #expect(queue.take(by: "a") == .wait)
        _ = queue.stopWaiting("a")
        _ = queue.enqueue(2)
        _ = queue.take(by: "a")
        #expect(queue.pickupTimedOut(2) == false)
        #expect(queue.complete(2) == true)
    }

    @Test("cancelling before, during and after the transfer")
    mutating func cancel() {
        _ = queue.enqueue(1)
        #expect(queue.cancel(1) == .failWhileConnecting)
        _ = queue.enqueue(2)
        _ = queue.take(by: "a")
        #expect(queue.cancel(2) == .abortTransfer(on: "a"))
        #expect(queue.complete(2) == false)
        #expect(queue.cancel(2) == .alreadyCompleted)
    }

    @Test("a call put back goes to the front, or to whoever waits")
    mutating func putBack() {
        _ = queue.enqueue(1)
        _ = queue.enqueue(2)
        _ = queue.take(by: "a")
        #expect(queue.putBack(1) == .wait)
        #expect(queue.take(by: "b") == .take(1))
        _ = queue.take(by: "b")
        _ = queue.take(by: "c")
        #expect(queue.putBack(1) == .handOver(to: "c"))
        _ = queue.cancel(1)
        #expect(queue.putBack(1) == nil)
    }
}

@Suite("Back-off and attempts")
struct BackoffTests {
    private let start = ContinuousClock.now

    @Test("five seconds at first, growing with the outage, two minutes at most, five again once identified")
    func backoff() {
        var backoff = PollingBackoff(jitter: 0.5, limits: HalibutLimits())
        #expect(backoff.pause(now: start) == .seconds(5))
        backoff.tryBegan(now: start)
        #expect(backoff.pause(now: start) == .seconds(5))
        backoff.tryBegan(now: start + .seconds(8))
        #expect(backoff.pause(now: start + .seconds(8)) == .seconds(12))
        #expect(backoff.pause(now: start + .seconds(500)) == .seconds(120))
        backoff.identified()
        backoff.tryBegan(now: start + .seconds(600))
        #expect(backoff.pause(now: start + .seconds(600)) == .seconds(5))
    }

    private func attempts(_ role: ConnectAttempts.Role = .client) -> ConnectAttempts {
        ConnectAttempts(
            endPoint: EndPointDocument(baseURI: "https://a/", remoteThumbprint: nil),
            role: role,
            now: start
        )
    }

    @Test("a server that is restarted: five seconds, five seconds, then growing")
    func outage() {
        var backoff = PollingBackoff(jitter: 0, limits: HalibutLimits())
        backoff.tryBegan(now: start)
        backoff.identified()
        var (now, pauses) = (start + .seconds(3600), [Duration]())
        for _ in 0..<7 {
            pauses.append(backoff.pause(now: now))
            now += pauses.last ?? .zero
            backoff.tryBegan(now: now)
        }
        #expect(pauses == [5, 5, 5, 10, 20, 40, 80].map { .seconds($0) })
    }

    @Test("five attempts, a pause between them, the pool cleared after the second failure")
    func fiveAttempts() {
        var attempts = self.attempts()
        let pause = Duration.seconds(1)
        #expect(attempts.failed(.pooledConnection, now: start) == .retry(after: .zero, clearPool: false))
        #expect(attempts.failed(.other, now: start) == .retry(after: pause, clearPool: true))
        #expect(attempts.failed(.connectionRefused, now: start) == .retry(after: pause, clearPool: false))
        #expect(attempts.failed(.other, now: start) == .retry(after: pause, clearPool: false))
        #expect(attempts.failed(.other, now: start) == .retry(after: pause, clearPool: false))
        #expect(attempts.failed(.other, now: start) == .giveUp)
    }

    @Test("a second dead connection from the pool clears it")
    func deadPool() {
        var attempts = self.attempts()
        #expect(attempts.failed(.pooledConnection, now: start) == .retry(after: .zero, clearPool: false))
        #expect(attempts.failed(.pooledConnection, now: start) == .retry(after: .zero, clearPool: true))
        #expect(attempts.failed(.pooledConnection, now: start) == .retry(after: .zero, clearPool: false))
    }

    @Test("no attempt after the time for attempts is over")
    func deadline() {
        for failure in [ConnectFailure.pooledConnection, .other] {
            var attempts = self.attempts()
            #expect(attempts.failed(failure, now: start + .seconds(300)) == .giveUp)
            attempts = self.attempts()
            #expect(attempts.failed(failure, now: start + .seconds(299)) != .giveUp)
        }
    }

    @Test(
        "what is worth another attempt, and for whom",
        arguments: [
            (.unexpectedCertificate, false, false), (.handshakeFailed, false, false), (.hostNotFound, false, false),
            (.cancelled, false, false), (.connectionRefused, true, false), (.other, true, true),
            (.pooledConnection, true, true), (.proxyMisconfigured, false, false), (.proxyRefused, true, true),
        ] as [(ConnectFailure, client: Bool, pollingService: Bool)]
    )
    func retries(_ failure: ConnectFailure, client: Bool, pollingService: Bool) {
        var (one, other) = (attempts(.client), attempts(.pollingService))
        #expect((one.failed(failure, now: start) != .giveUp) == client)
        #expect((other.failed(failure, now: start) != .giveUp) == pollingService)
    }

    @Test("one unexpected certificate may be worth another attempt after the pause, a second one is not")
    func unexpectedCertificate() {
        var document = EndPointDocument(baseURI: "https://agent:10933/", remoteThumbprint: nil)
        document.retryListeningSleepInterval = .seconds(3)
        var attempts = ConnectAttempts(endPoint: document, retriesUnexpectedCertificate: true, now: start)
        #expect(attempts.failed(.unexpectedCertificate, now: start) == .retry(after: .seconds(3), clearPool: false))
        #expect(attempts.failed(.unexpectedCertificate, now: start) == .giveUp)
        document.retryCountLimit = 1
        attempts = ConnectAttempts(endPoint: document, retriesUnexpectedCertificate: true, now: start)
        #expect(attempts.failed(.unexpectedCertificate, now: start) == .giveUp)
    }
}

@Suite("Idle connections")
struct IdleConnectionsTests {
    private struct Connection: Identifiable, Equatable { let id: Int }

    @Test("the last used is taken first, the longest idle is the surplus one")
    func order() {
        var idle = IdleConnections<String, Connection>(maximumPerKey: 2)
        #expect(idle.take("a") == nil)
        for id in 1...2 { #expect(idle.put(Connection(id: id), "a") == nil) }
        #expect(idle.put(Connection(id: 3), "a") == Connection(id: 1))
        #expect(idle.put(Connection(id: 4), "b") == nil)
        #expect(idle.take("a") == Connection(id: 3))
        #expect(idle.remove(3, "a") == nil)
        #expect(idle.remove(2, "a") == Connection(id: 2))
        #expect(idle.count("a") == 0)
        #expect(idle.clear("a") == [])
        #expect(idle.clear("b") == [Connection(id: 4)])
        _ = idle.put(Connection(id: 5), "c")
        #expect(idle.clear() == [Connection(id: 5)])
        #expect(idle.count("c") == 0)
    }

    @Test("a pooled connection never outlives the service's patience")
    func expiry() {
        var limits = HalibutLimits()
        #expect(limits.safePooledConnectionTimeout == .seconds(50))
        limits.pooledConnectionTimeout = .seconds(600)
        #expect(limits.safePooledConnectionTimeout == .seconds(590))
        limits.nextRequestIdleTimeout = .seconds(5)
        #expect(limits.safePooledConnectionTimeout == .zero)
    }
}
