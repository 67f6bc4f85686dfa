import HalibutProtocol
import Testing

/// One of every kind of value that an event carries.
///
/// The switches have no default: a new case must be added here.
private enum Samples {
    static let subscription = EndPointURI(scheme: "poll", host: "abc", port: nil)

    static let openings: [(String, Opening)] = [Opening.messageExchange, .other, .empty].map { opening in
        switch opening {
        case .messageExchange: ("MX", opening)
        case .other: ("GET", opening)
        case .empty: ("nothing", opening)
        }
    }

    static let identities: [(String, RemoteIdentity)] = [
        RemoteIdentity.client, .subscriber(subscription), .server,
    ].map { identity in
        switch identity {
        case .client: ("MX-CLIENT", identity)
        case .subscriber: ("MX-SUBSCRIBER", identity)
        case .server: ("MX-SERVER", identity)
        }
    }

    static let lines: [(String, ControlLine)] = [ControlLine.next, .proceed, .end, .other("FOO")].map { line in
        switch line {
        case .next, .proceed, .end, .other: (line.text, line)
        }
    }
}

@Suite("Every state and every edge of the connections")
struct MachineWalkTests {
    /// What a machine says to an event that its state does not expect.
    private func unexpected(_ event: String, in state: String) -> String {
        let what =
            switch event.split(separator: " ").first {
            case "identity": "identity"
            case "request", "took", "sending": "request"
            case "response", "sent": "response"
            case "call": "call"
            default: "control line"
            }
        return "closeWithError(Unexpected \(what) while \(state).)"
    }

    @Test("a listener's connection")
    func listener() {
        var events: [MachineWalk<ListenerConnection>.Event] = []
        for (name, opening) in Samples.openings { events.append(.init("opening \(name)") { $0.openingRead(opening) }) }
        events.append(.init("trusted") { $0.authorised(true) })
        events.append(.init("not trusted") { $0.authorised(false) })
        for (name, identity) in Samples.identities {
            events.append(.init("identity \(name)") { $0.identityRead(identity) })
        }
        events.append(.init("leased") { $0.leased(true) })
        events.append(.init("not leased") { $0.leased(false) })
        events.append(.init("request 1") { $0.requestRead(id: "1") })
        events.append(.init("request null") { $0.requestRead(id: nil) })
        events.append(.init("sent response") { $0.responseSent() })
        events.append(.init("took 1") { $0.requestTaken(id: "1", peerHasNews: false) })
        events.append(.init("took nothing") { $0.requestTaken(id: nil, peerHasNews: false) })
        events.append(.init("took 1, peer has gone") { $0.requestTaken(id: "1", peerHasNews: true) })
        events.append(.init("took nothing, peer has gone") { $0.requestTaken(id: nil, peerHasNews: true) })
        events.append(.init("response 1") { $0.responseRead(id: "1") })
        events.append(.init("response 2") { $0.responseRead(id: "2") })
        events.append(.init("response null") { $0.responseRead(id: nil) })
        for (name, line) in Samples.lines { events.append(.init(name) { $0.controlLineRead(line) }) }
        MachineWalk(start: { ListenerConnection() }, stateName: { $0.stateName }, events: events).check(
            """
            waiting for the opening | opening MX | authorise | deciding about trust
            waiting for the opening | opening GET | sendFriendlyPageThenClose | closed
            waiting for the opening | opening nothing | closeSilently | closed
            deciding about trust | trusted | readIdentity | waiting for the identity
            deciding about trust | not trusted | closeSilently | closed
            waiting for the identity | identity MX-CLIENT | sendIdentityThenReadRequest | waiting for a request
            waiting for the identity | identity MX-SUBSCRIBER | lease(poll://abc/) | deciding about the subscription
            waiting for the identity | identity MX-SERVER | sendIdentityThenCloseWithError(Unexpected remote identity: Server) | closed
            waiting for a request | request 1 | dispatch(id: "1") | executing a request
            waiting for a request | request null | closeQuietly | closed
            executing a request | sent response | readControlLine | waiting for NEXT or END
            waiting for NEXT or END | NEXT | sendProceedThenReadRequest | waiting for a request
            waiting for NEXT or END | END | closeQuietly | closed
            waiting for NEXT or END | PROCEED | closeWithError(Expected NEXT or END, got: PROCEED) | closed
            waiting for NEXT or END | FOO | closeWithError(Expected NEXT or END, got: FOO) | closed
            deciding about the subscription | leased | sendIdentityThenTakeRequest | waiting for a request to send
            deciding about the subscription | not leased | closeSilently | closed
            waiting for a request to send | took 1 | sendRequestThenReadResponse | waiting for a response
            waiting for a request to send | took nothing | sendNullThenReadControlLine | waiting for NEXT or END of a subscriber
            waiting for a request to send | took 1, peer has gone | putBackThenClose | closed
            waiting for a request to send | took nothing, peer has gone | closeQuietly | closed
            waiting for a response | response 1 | completeThenReadControlLine(id: "1") | waiting for NEXT or END of a subscriber
            waiting for a response | response 2 | closeWithError(The response is for request '2', but request '1' was sent.) | closed
            waiting for a response | response null | closeWithError(No response was received from the endpoint within the allowed time.) | closed
            waiting for NEXT or END of a subscriber | NEXT | sendProceedThenTakeRequest | waiting for a request to send
            waiting for NEXT or END of a subscriber | END | closeQuietly | closed
            waiting for NEXT or END of a subscriber | PROCEED | closeWithError(Expected NEXT or END, got: PROCEED) | closed
            waiting for NEXT or END of a subscriber | FOO | closeWithError(Expected NEXT or END, got: FOO) | closed
            """
        ) { state, event in
            // Decisions about trust say nothing to anybody.
            let silent = ["opening", "trusted", "leased", "not"].contains { event.hasPrefix($0) }
            return .init(action: silent ? "closeSilently" : unexpected(event, in: state), next: "closed")
        }
    }

    @Test("a client's connection, and whether its call may be tried again")
    func client() {
        var events: [MachineWalk<ClientConnection>.Event] = []
        events.append(.init("call") { $0.begin() })
        for (name, identity) in Samples.identities {
            events.append(.init("identity \(name)") { $0.identityRead(identity) })
        }
        for (name, line) in Samples.lines { events.append(.init(name) { $0.controlLineRead(line) }) }
        events.append(.init("sending 1") { $0.requestBegins(id: "1") })
        events.append(.init("response 1") { $0.responseRead(id: "1") })
        events.append(.init("response 2") { $0.responseRead(id: "2") })
        events.append(.init("response null") { $0.responseRead(id: nil) })
        events.append(.init("failed") { $0.failed() })
        let wrongServer = "Expected the remote endpoint to identity as a server. Instead, it identified as:"
        MachineWalk(start: { ClientConnection() }, stateName: { $0.stateName }, events: events).check(
            """
            not identified | call | sendIdentityThenReadIdentity | waiting for MX-SERVER
            waiting for MX-SERVER | identity MX-SERVER | sendRequest | ready
            waiting for MX-SERVER | identity MX-CLIENT | closeWithError(\(wrongServer) Client) | closed before the request
            waiting for MX-SERVER | identity MX-SUBSCRIBER | closeWithError(\(wrongServer) Subscriber) | closed before the request
            ready | sending 1 | sendThenReadResponse | waiting for a response
            waiting for a response | response 1 | complete | idle
            waiting for a response | response 2 | closeWithError(The response is for request '2', but request '1' was sent.) | closed after the request began
            waiting for a response | response null | closeWithError(No response was received from the endpoint within the allowed time.) | closed after the request began
            idle | call | sendNextThenReadControlLine | waiting for PROCEED
            waiting for PROCEED | PROCEED | sendRequest | ready again
            waiting for PROCEED | NEXT | closeWithError(Expected PROCEED, got: NEXT) | closed in the pool
            waiting for PROCEED | END | closeWithError(Expected PROCEED, got: END) | closed in the pool
            waiting for PROCEED | FOO | closeWithError(Expected PROCEED, got: FOO) | closed in the pool
            ready again | sending 1 | sendThenReadResponse | waiting for a response
            """
        ) { state, event in
            let (verdict, closed) =
                switch state {
                case "waiting for a response", "closed after the request began":
                    ("neverRetry", "closed after the request began")
                case "idle", "waiting for PROCEED", "ready again", "closed in the pool":
                    ("mayRetry(wasPooled: true)", "closed in the pool")
                default: ("mayRetry(wasPooled: false)", "closed before the request")
                }
            return .init(action: event == "failed" ? verdict : unexpected(event, in: state), next: closed)
        }
    }

    @Test("a polling service's connection")
    func pollingService() {
        var events: [MachineWalk<PollingServiceConnection>.Event] = []
        for (name, identity) in Samples.identities {
            events.append(.init("identity \(name)") { $0.identityRead(identity) })
        }
        events.append(.init("request 1") { $0.requestRead(id: "1") })
        events.append(.init("request null") { $0.requestRead(id: nil) })
        events.append(.init("sent response") { $0.responseSent() })
        for (name, line) in Samples.lines { events.append(.init(name) { $0.controlLineRead(line) }) }
        let wrongServer = "Expected the remote endpoint to identity as a server. Instead, it identified as:"
        MachineWalk(start: { PollingServiceConnection() }, stateName: { $0.stateName }, events: events).check(
            """
            waiting for MX-SERVER | identity MX-SERVER | resetBackoffThenReadRequest | waiting for a request
            waiting for MX-SERVER | identity MX-CLIENT | closeWithError(\(wrongServer) Client) | closed
            waiting for MX-SERVER | identity MX-SUBSCRIBER | closeWithError(\(wrongServer) Subscriber) | closed
            waiting for a request | request 1 | dispatch(id: "1") | executing a request
            waiting for a request | request null | sendNextThenReadControlLine | waiting for PROCEED
            executing a request | sent response | sendNextThenReadControlLine | waiting for PROCEED
            waiting for PROCEED | PROCEED | readRequest | waiting for a request
            waiting for PROCEED | NEXT | closeWithError(Expected PROCEED, got: NEXT) | closed
            waiting for PROCEED | END | closeWithError(Expected PROCEED, got: END) | closed
            waiting for PROCEED | FOO | closeWithError(Expected PROCEED, got: FOO) | closed
            """
        ) { state, event in .init(action: unexpected(event, in: state), next: "closed") }
    }
}

@Suite("Every state of a small polling queue")
struct PollingQueueWalkTests {
    /// What halibut.md 12.1 and 12.2 say, kept by an owner who believes what the queue told it.
    private struct Model: Hashable {
        var new: [Int]
        var queued: [Int] = []
        var waiting: [String] = []
        var carriers: [Int: String] = [:]

        mutating func enqueue(_ item: Int, front: Bool = false) -> PollingQueue<Int, String>.OnEnqueue {
            guard let waiter = self.waiting.first else {
                self.queued.insert(item, at: front ? 0 : self.queued.count)
                return .wait
            }
            self.waiting.removeFirst()
            self.carriers[item] = waiter
            return .handOver(to: waiter)
        }
    }

    private typealias Queue = PollingQueue<Int, String>
    private struct Pair: Hashable {
        var queue: Queue
        var model: Model
    }

    private static let items = [1, 2, 3]
    private static let connections = ["a", "b"]

    /// Every event that can happen to a queue; each checks the answer.
    private func events(_ pair: Pair) -> [Pair] {
        var after: [Pair] = []
        func event(_ body: (inout Queue, inout Model) -> Bool, _ name: String) {
            var copy = pair
            #expect(body(&copy.queue, &copy.model), "\(name) in \(pair.model)")
            after.append(copy)
        }
        if let item = pair.model.new.first {
            event(
                {
                    $1.new.removeFirst()
                    return $0.enqueue(item) == $1.enqueue(item)
                },
                "enqueue \(item)"
            )
        }
        for connection in Self.connections {
            let isBusy = pair.model.waiting.contains(connection) || pair.model.carriers.values.contains(connection)
            if !isBusy { event({ self.take(connection, &$0, &$1) }, "take by \(connection)") }
            event({ self.stopWaiting(connection, &$0, &$1) }, "\(connection) stops waiting")
        }
        for item in Self.items {
            event({ self.pickupTimedOut(item, &$0, &$1) }, "pickup time of \(item)")
            event({ self.cancel(item, &$0, &$1) }, "cancel \(item)")
            event({ $0.complete(item) == ($1.carriers.removeValue(forKey: item) != nil) }, "complete \(item)")
            event({ self.putBack(item, &$0, &$1) }, "put back \(item)")
        }
        return after
    }

    private func take(_ connection: String, _ queue: inout Queue, _ model: inout Model) -> Bool {
        guard let item = model.queued.first else {
            model.waiting.append(connection)
            return queue.take(by: connection) == .wait
        }
        model.queued.removeFirst()
        model.carriers[item] = connection
        return queue.take(by: connection) == .take(item)
    }

    private func stopWaiting(_ connection: String, _ queue: inout Queue, _ model: inout Model) -> Bool {
        let waits = model.waiting.contains(connection)
        model.waiting.removeAll { $0 == connection }
        return queue.stopWaiting(connection) == waits
    }

    private func pickupTimedOut(_ item: Int, _ queue: inout Queue, _ model: inout Model) -> Bool {
        let waits = model.queued.contains(item)
        model.queued.removeAll { $0 == item }
        return queue.pickupTimedOut(item) == waits
    }

    private func cancel(_ item: Int, _ queue: inout Queue, _ model: inout Model) -> Bool {
        if model.queued.contains(item) {
            model.queued.removeAll { $0 == item }
            return queue.cancel(item) == .failWhileConnecting
        }
        guard let carrier = model.carriers.removeValue(forKey: item) else {
            return queue.cancel(item) == .alreadyCompleted
        }
        return queue.cancel(item) == .abortTransfer(on: carrier)
    }

    private func putBack(_ item: Int, _ queue: inout Queue, _ model: inout Model) -> Bool {
        guard model.carriers.removeValue(forKey: item) != nil else { return queue.putBack(item) == nil }
        return queue.putBack(item) == model.enqueue(item, front: true)
    }

    @Test("three calls and two connections in every order: each call is in one place, first in, first out")
    func walk() {
        var seen: Set<Pair> = [Pair(queue: Queue(), model: Model(new: Self.items))]
        var open = Array(seen)
        while let pair = open.popLast() {
            let model = pair.model
            #expect(pair.queue.depth == model.queued.count)
            #expect(
                pair.queue.isUnused == (model.queued.isEmpty && model.waiting.isEmpty && model.carriers.isEmpty)
            )
            #expect(model.queued.isEmpty || model.waiting.isEmpty, "a call waits beside a connection that waits")
            for next in self.events(pair) where seen.insert(next).inserted { open.append(next) }
        }
        #expect(seen.count == 90)
    }
}
