import FuzzSupport
import HalibutProtocol

/// A listener whose peer says anything at any time, and whose owner is no better.
func listener(_ input: inout FuzzInput) {
    var machine = ListenerConnection()
    var book = ListenerBook()
    while !input.isEmpty {
        switch input.below(9) {
        case 0:
            let opening = opening(&input)
            book.note(machine.openingRead(opening), opening)
        case 1:
            let trusted = input.flag()
            book.note(machine.authorised(trusted), trusted: trusted)
        case 2:
            guard let identity = identity(&input) else { continue }
            book.note(machine.identityRead(identity), identity)
        case 3:
            let allowed = input.flag()
            book.note(machine.leased(allowed), allowed: allowed)
        case 4:
            let id = messageID(&input)
            book.note(machine.requestRead(id: id), id: id)
        case 5: book.note(machine.responseSent())
        case 6:
            let (id, news) = (messageID(&input), input.flag())
            book.note(machine.requestTaken(id: id, peerHasNews: news), id: id, peerHasNews: news)
        case 7:
            let id = messageID(&input)
            book.note(machine.responseRead(id: id), id: id)
        default:
            guard let line = controlLine(&input) else { continue }
            book.note(machine.controlLineRead(line), line)
        }
    }
}

/// What a listener has let happen.
struct ListenerBook {
    private var opened = false
    private var trusted = false
    private var leased = false
    private(set) var closed = false
    /// A request of a client under way here.
    private var dispatched: String?
    /// A request of ours under way at the subscriber.
    private(set) var sent: String?
    private(set) var completed: [String] = []
    private(set) var dispatches = 0
    private var mayControl = false

    private mutating func close() { self.closed = true }

    /// Nothing goes on, or goes out, after the end and before trust.
    private func requireOpen(_ action: String) {
        require(!self.closed, "\(action) after the end")
        require(self.trusted, "\(action) for a peer that is not trusted")
        require(self.dispatched == nil && self.sent == nil, "\(action) while a request is under way")
    }

    mutating func note(_ action: ListenerConnection.OnOpening, _ opening: Opening) {
        switch action {
        case .authorise:
            require(!self.closed && !self.opened, "a second opening")
            require(opening == .messageExchange, "\(opening) is taken for Halibut")
            self.opened = true
        case .sendFriendlyPageThenClose:
            require(!self.closed && !self.opened && opening == .other, "the page for somebody else than a browser")
            self.close()
        case .closeSilently: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnAuthorised, trusted: Bool) {
        switch action {
        case .readIdentity:
            require(trusted && self.opened && !self.trusted && !self.closed, "a stranger is let in")
            self.trusted = true
        case .closeSilently: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnIdentity, _ identity: RemoteIdentity) {
        switch action {
        case .sendIdentityThenReadRequest:
            self.requireOpen("our identity")
            require(identity == .client, "\(identity) is served as a client")
        case .lease(let subscription):
            self.requireOpen("a lease")
            require(identity == .subscriber(subscription), "\(identity) gets the lease of \(subscription)")
        case .sendIdentityThenCloseWithError:
            self.requireOpen("our identity")
            require(identity == .server, "\(identity) is refused like a listener")
            self.close()
        case .closeWithError: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnLeased, allowed: Bool) {
        switch action {
        case .sendIdentityThenTakeRequest:
            self.requireOpen("a subscription")
            require(allowed && !self.leased, "a subscription that was not allowed")
            self.leased = true
        case .closeSilently: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnRequest, id: String?) {
        switch action {
        case .dispatch(let dispatched):
            self.requireOpen("a dispatch")
            require(dispatched == id && !self.leased && !self.mayControl, "a request out of turn is executed")
            self.dispatched = dispatched
            self.dispatches += 1
        case .closeQuietly:
            require(id == nil && !self.closed, "a request is dropped")
            self.close()
        case .closeWithError: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnSent) {
        switch action {
        case .readControlLine:
            require(!self.closed && self.dispatched != nil, "a response to nothing")
            self.dispatched = nil
            self.mayControl = true
        case .closeWithError: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnTaken, id: String?, peerHasNews: Bool) {
        switch action {
        case .sendRequestThenReadResponse:
            self.requireOpen("a request")
            require(self.leased && !peerHasNews && !self.mayControl, "a request goes out of turn")
            self.sent = id
            require(id != nil, "a request without an id")
        case .sendNullThenReadControlLine:
            self.requireOpen("a NUL request")
            require(self.leased && !peerHasNews && !self.mayControl && id == nil, "a NUL request out of turn")
            self.mayControl = true
        case .putBackThenClose:
            self.requireOpen("putting back")
            require(self.leased && peerHasNews && id != nil, "a request is put back without need")
            self.close()
        case .closeQuietly:
            self.requireOpen("a quiet end")
            require(peerHasNews && id == nil, "a request is lost")
            self.close()
        case .closeWithError: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnResponse, id: String?) {
        switch action {
        case .completeThenReadControlLine(let completed):
            require(!self.closed && completed == self.sent && completed == id, "a response that nobody waits for")
            self.completed.append(completed)
            self.sent = nil
            self.mayControl = true
        case .closeWithError: self.close()
        }
    }

    mutating func note(_ action: ListenerConnection.OnControlLine, _ line: ControlLine) {
        switch action {
        case .sendProceedThenReadRequest, .sendProceedThenTakeRequest:
            self.requireOpen("PROCEED")
            require(line == .next && self.mayControl, "PROCEED out of turn")
            require((action == .sendProceedThenTakeRequest) == self.leased, "a client is taken for a subscriber")
            self.mayControl = false
        case .closeQuietly:
            require(!self.closed && line == .end && self.mayControl, "a quiet end out of turn")
            self.close()
        case .closeWithError:
            let isInTurn = !self.closed && self.mayControl && (line == .next || line == .end)
            require(!isInTurn, "\(line) in turn is refused")
            self.close()
        }
    }
}
