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

    private func awaitingRequest() -> ListenerConnection {
        var machine = identifying()
        _ = machine.identityRead(.client)
        return machine
    }

    private func taking() throws -> ListenerConnection {
        var machine = identifying()
        _ = machine.identityRead(.subscriber(try subscription()))
        _ = machine.leased(true)
        return machine
    }

    @Test("a client's conversation: request, response, NEXT, request, END")
    func client() {
        var machine = ListenerConnection()
        #expect(machine.isIdentified == false)
        #expect(machine.openingRead(.messageExchange) == .authorise)
        #expect(machine.authorised(true) == .readIdentity)
        #expect(machine.identityRead(.client) == .sendIdentityThenReadRequest)
        #expect(machine.isIdentified == true)
        #expect(machine.requestRead(id: "1") == .dispatch(id: "1"))
        #expect(machine.responseSent() == .readControlLine)
        #expect(machine.controlLineRead(.next) == .sendProceedThenReadRequest)
        #expect(machine.requestRead(id: "2") == .dispatch(id: "2"))
        #expect(machine.responseSent() == .readControlLine)
        #expect(machine.controlLineRead(.end) == .closeQuietly)
        #expect(machine.isIdentified == false)
    }

    @Test("a subscriber's conversation: request, response, NEXT, NUL, NEXT, END")
    func subscriber() throws {
        var machine = identifying()
        #expect(machine.identityRead(.subscriber(try subscription())) == .lease(try subscription()))
        #expect(machine.leased(true) == .sendIdentityThenTakeRequest)
        #expect(machine.requestSent(id: "1") == .readResponse)
        #expect(machine.responseRead(id: "1") == .completeThenReadControlLine(id: "1"))
        #expect(machine.controlLineRead(.next) == .sendProceedThenTakeRequest)
        #expect(machine.requestSent(id: nil) == .readControlLine)
        #expect(machine.controlLineRead(.next) == .sendProceedThenTakeRequest)
        #expect(machine.requestSent(id: nil) == .readControlLine)
        #expect(machine.controlLineRead(.end) == .closeQuietly)
    }

    @Test("a browser gets the page, silence gets silence")
    func friendlyPage() {
        var browser = ListenerConnection()
        #expect(browser.openingRead(.other) == .sendFriendlyPageThenClose)
        var silent = ListenerConnection()
        #expect(silent.openingRead(.empty) == .closeSilently)
    }

    @Test("a peer that is not trusted gets nothing")
    func untrusted() {
        var machine = ListenerConnection()
        _ = machine.openingRead(.messageExchange)
        #expect(machine.authorised(false) == .closeSilently)
        #expect(
            machine.identityRead(.client)
                == .closeWithError(WireError(.unexpectedEvent, "Unexpected identity while closed."))
        )
    }

    @Test("a subscription of somebody else gets nothing")
    func notLeased() throws {
        var machine = identifying()
        _ = machine.identityRead(.subscriber(try subscription()))
        #expect(machine.leased(false) == .closeSilently)
    }

    @Test("a listener that dials is answered and refused")
    func serverIdentity() {
        var machine = identifying()
        #expect(
            machine.identityRead(.server)
                == .sendIdentityThenCloseWithError(WireError(.identity, "Unexpected remote identity: Server"))
        )
    }

    @Test("a null request ends a client's connection")
    func nullRequest() {
        var machine = awaitingRequest()
        #expect(machine.requestRead(id: nil) == .closeQuietly)
    }

    @Test("any other word than NEXT and END", arguments: [ControlLine.proceed, .other("FOO")])
    func wrongWord(_ line: ControlLine) {
        var machine = awaitingRequest()
        _ = machine.requestRead(id: "1")
        _ = machine.responseSent()
        #expect(
            machine.controlLineRead(line)
                == .closeWithError(WireError(.controlLine, "Expected NEXT or END, got: \(line.text)"))
        )
        #expect(
            machine.controlLineRead(.next)
                == .closeWithError(WireError(.unexpectedEvent, "Unexpected control line while closed."))
        )
    }

    @Test("a response that is for another request, or none")
    func wrongResponse() throws {
        var other = try taking()
        _ = other.requestSent(id: "1")
        #expect(other.responseRead(id: "2") == .closeWithError(.responseForAnotherRequest(expected: "1", got: "2")))
        var none = try taking()
        _ = none.requestSent(id: "1")
        #expect(none.responseRead(id: nil) == .closeWithError(.noResponse))
    }

    @Test("events out of turn close the connection")
    func outOfTurn() throws {
        var early = ListenerConnection()
        #expect(
            early.requestRead(id: "1")
                == .closeWithError(WireError(.unexpectedEvent, "Unexpected request while waiting for the opening."))
        )
        var idle = awaitingRequest()
        #expect(
            idle.responseSent()
                == .closeWithError(WireError(.unexpectedEvent, "Unexpected response while waiting for a request."))
        )
        var waiting = try taking()
        #expect(
            waiting.responseRead(id: "1")
                == .closeWithError(
                    WireError(.unexpectedEvent, "Unexpected response while waiting for a request to send.")
                )
        )
        var unauthorised = ListenerConnection()
        #expect(unauthorised.authorised(true) == .closeSilently)
    }
}

@Suite("Client connection")
struct ClientConnectionTests {
    @Test("identify, exchange, test with NEXT, exchange again")
    func conversation() {
        var machine = ClientConnection()
        #expect(machine.begin() == .sendIdentityThenReadIdentity)
        #expect(machine.identityRead(.server) == .sendRequest)
        machine.requestBegins(id: "1")
        #expect(machine.isIdle == false)
        #expect(machine.responseRead(id: "1") == .complete)
        #expect(machine.isIdle == true)
        #expect(machine.begin() == .sendNextThenReadControlLine)
        #expect(machine.controlLineRead(.proceed) == .sendRequest)
        machine.requestBegins(id: "2")
        #expect(machine.responseRead(id: "2") == .complete)
    }

    @Test("a listener that is none")
    func notAServer() {
        var machine = ClientConnection()
        _ = machine.begin()
        let text = "Expected the remote endpoint to identity as a server. Instead, it identified as: Client"
        #expect(machine.identityRead(.client) == .closeWithError(WireError(.identity, text)))
        #expect(machine.isIdle == false)
    }

    @Test("anything but PROCEED fails the test of a pooled connection")
    func notProceed() {
        var machine = ClientConnection()
        _ = machine.begin()
        _ = machine.identityRead(.server)
        machine.requestBegins(id: "1")
        _ = machine.responseRead(id: "1")
        _ = machine.begin()
        #expect(machine.controlLineRead(.end) == .closeWithError(WireError(.controlLine, "Expected PROCEED, got: END")))
    }

    @Test("no response, another's response, a second call at the same time")
    func wrongTurns() {
        var machine = ClientConnection()
        _ = machine.begin()
        _ = machine.identityRead(.server)
        machine.requestBegins(id: "1")
        #expect(machine.responseRead(id: nil) == .closeWithError(.noResponse))
        #expect(machine.begin() == .closeWithError(WireError(.unexpectedEvent, "Unexpected call while closed.")))
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

    @Test("a wrong identity or word ends it")
    func wrongTurns() {
        var machine = PollingServiceConnection()
        let text = "Expected the remote endpoint to identity as a server. Instead, it identified as: Client"
        #expect(machine.identityRead(.client) == .closeWithError(WireError(.identity, text)))
        var other = PollingServiceConnection()
        _ = other.identityRead(.server)
        _ = other.requestRead(id: nil)
        #expect(other.controlLineRead(.next) == .closeWithError(WireError(.controlLine, "Expected PROCEED, got: NEXT")))
        #expect(
            other.requestRead(id: "1")
                == .closeWithError(WireError(.unexpectedEvent, "Unexpected request while closed."))
        )
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

    @Test("five attempts, a pause between them, the pool cleared after the second failure")
    func attempts() {
        var attempts = ConnectAttempts(
            endPoint: EndPointDocument(baseURI: "https://a/", remoteThumbprint: nil),
            now: start
        )
        let pause = Duration.seconds(1)
        #expect(attempts.failed(onPooledConnection: true, now: start) == .retry(after: .zero, clearPool: false))
        #expect(attempts.failed(onPooledConnection: false, now: start) == .retry(after: pause, clearPool: false))
        #expect(attempts.failed(onPooledConnection: false, now: start) == .retry(after: pause, clearPool: true))
        #expect(attempts.failed(onPooledConnection: false, now: start) == .retry(after: pause, clearPool: false))
        #expect(attempts.failed(onPooledConnection: false, now: start) == .retry(after: pause, clearPool: false))
        #expect(attempts.failed(onPooledConnection: false, now: start) == .giveUp)
    }

    @Test("no attempt after the time for attempts is over")
    func deadline() {
        var attempts = ConnectAttempts(
            endPoint: EndPointDocument(baseURI: "https://a/", remoteThumbprint: nil),
            now: start
        )
        #expect(attempts.failed(onPooledConnection: true, now: start + .seconds(300)) == .giveUp)
    }
}
