import FuzzSupport
import HalibutProtocol

/// A client whose listener says anything, and whose owner goes on after the end.
func client(_ input: inout FuzzInput) {
    var machine = ClientConnection()
    /// The call may go out now: a listener of the right kind has just agreed.
    var ready = false
    var idle = false
    var closed = false
    /// The request that went out last on this connection and has no answer.
    var underWay: String?
    var begun = false
    /// The connection has carried a call: its failure says nothing about the listener.
    var pooled = false
    while !input.isEmpty {
        switch input.below(6) {
        case 0:
            switch machine.begin() {
            case .sendIdentityThenReadIdentity: require(!closed && !begun, "a second identity")
            case .sendNextThenReadControlLine: require(!closed && idle, "NEXT on a connection that is not idle")
            case .closeWithError: closed = true
            }
            begun = true
            idle = false
        case 1:
            guard let identity = identity(&input) else { continue }
            let action = machine.identityRead(identity)
            ready = action == .sendRequest
            require(!ready || !closed && identity == .server, "a request for \(identity)")
            if !ready { closed = true }
        case 2:
            guard let line = controlLine(&input) else { continue }
            let action = machine.controlLineRead(line)
            ready = action == .sendRequest
            require(!ready || !closed && line == .proceed, "a request after \(line)")
            if !ready { closed = true }
        case 3:
            let id = messageID(&input) ?? "4"
            if case .sendThenReadResponse = machine.requestBegins(id: id) {
                require(!closed && ready && underWay == nil, "a request out of turn")
                underWay = id
            } else {
                closed = true
            }
            ready = false
        case 4:
            let id = messageID(&input)
            if case .complete = machine.responseRead(id: id) {
                require(!closed && underWay != nil && id == underWay, "a response that nobody waits for")
                (underWay, idle, pooled) = (nil, true, true)
            } else {
                closed = true
            }
        default:
            let failure = machine.failed()
            closed = true
            let expected = underWay == nil ? ClientConnection.OnFailure.mayRetry(wasPooled: pooled) : .neverRetry
            require(failure == expected, "\(failure), under way: \(underWay ?? "nothing"), pooled: \(pooled)")
        }
        require(machine.failsLike(underWay), "a request that went out would be repeated")
    }
}

extension ClientConnection {
    /// The state's name is all that can be seen without an event.
    fileprivate func failsLike(_ underWay: String?) -> Bool {
        underWay == nil || ["waiting for a response", "closed after the request began"].contains(self.stateName)
    }
}

/// A polling service whose server says anything.
func pollingService(_ input: inout FuzzInput) {
    var machine = PollingServiceConnection()
    var book = PollingServiceBook()
    while !input.isEmpty {
        switch input.below(4) {
        case 0:
            guard let identity = identity(&input) else { continue }
            book.note(machine.identityRead(identity), identity)
        case 1:
            let id = messageID(&input)
            book.note(machine.requestRead(id: id), id: id)
        case 2: book.note(machine.responseSent())
        default:
            guard let line = controlLine(&input) else { continue }
            book.note(machine.controlLineRead(line), line)
        }
    }
}

/// What a polling service has let happen.
struct PollingServiceBook {
    private(set) var closed = false
    private var identified = false
    private var dispatched = false
    private var awaitsProceed = false

    private func requireIdle(_ action: String) {
        require(!self.closed && self.identified && !self.awaitsProceed, "\(action) out of turn")
    }

    mutating func note(_ action: PollingServiceConnection.OnIdentity, _ identity: RemoteIdentity) {
        switch action {
        case .resetBackoffThenReadRequest:
            require(!self.closed && !self.identified && identity == .server, "\(identity) resets the back-off")
            self.identified = true
        case .closeWithError: self.closed = true
        }
    }

    mutating func note(_ action: PollingServiceConnection.OnRequest, id: String?) {
        switch action {
        case .dispatch(let dispatched):
            self.requireIdle("a dispatch")
            require(!self.dispatched && dispatched == id, "two requests at a time")
            self.dispatched = true
        case .sendNextThenReadControlLine:
            self.requireIdle("NEXT")
            require(!self.dispatched && id == nil, "a request is dropped")
            self.awaitsProceed = true
        case .closeWithError: self.closed = true
        }
    }

    mutating func note(_ action: PollingServiceConnection.OnSent) {
        switch action {
        case .sendNextThenReadControlLine:
            self.requireIdle("NEXT")
            require(self.dispatched, "a response to nothing")
            (self.dispatched, self.awaitsProceed) = (false, true)
        case .closeWithError: self.closed = true
        }
    }

    mutating func note(_ action: PollingServiceConnection.OnControlLine, _ line: ControlLine) {
        switch action {
        case .readRequest:
            require(!self.closed && self.awaitsProceed && line == .proceed, "\(line) is taken for PROCEED")
            self.awaitsProceed = false
        case .closeWithError: self.closed = true
        }
    }
}

/// How often a client dials.
func attempts(_ input: inout FuzzInput) {
    var endPoint = EndPointDocument(baseURI: "https://a/", remoteThumbprint: nil)
    endPoint.retryCountLimit = Int32(input.below(16)) - 4
    endPoint.connectionErrorRetryTimeout = .seconds(input.below(100))
    let failures: [ConnectFailure] = [
        .unexpectedCertificate, .handshakeFailed, .connectionRefused, .hostNotFound, .cancelled, .pooledConnection,
        .other,
    ]
    let begin = ContinuousClock.now
    let role = input.flag() ? ConnectAttempts.Role.client : .pollingService
    var attempts = ConnectAttempts(endPoint: endPoint, role: role, now: begin)
    var now = begin
    var repeated = 0
    while !input.isEmpty {
        now += .seconds(input.below(20))
        let failure = failures[input.below(failures.count)]
        switch attempts.failed(failure, now: now) {
        case .giveUp: return
        case .retry(let pause, _):
            require(now - begin < endPoint.connectionErrorRetryTimeout, "a retry after the deadline")
            require([.connectionRefused, .pooledConnection, .other].contains(failure), "a retry after \(failure)")
            require(pause >= .zero, "a pause of \(pause)")
            if failure != .pooledConnection { repeated += 1 }
            require(repeated < max(1, Int(endPoint.retryCountLimit)), "more attempts than allowed")
        }
    }
}
