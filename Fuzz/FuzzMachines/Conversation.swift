import FuzzSupport
import HalibutProtocol

/// A polling service of ours and a listener of ours on a wire that delivers, or breaks, at any moment.
///
/// Nobody may find fault with the other, and what is executed is what was sent, once.
func conversation(_ input: inout FuzzInput) {
    var listener = ListenerConnection()
    var listenerBook = ListenerBook()
    var service = PollingServiceConnection()
    var serviceBook = PollingServiceBook()
    var toService: [Spoken] = []
    var toListener: [Spoken] = [.identity(subscriber)]
    var next = 1
    var executed: [String] = []
    var dispatching = false
    listenerBook.note(listener.openingRead(.messageExchange), .messageExchange)
    listenerBook.note(listener.authorised(true), trusted: true)
    var taking = false
    while !input.isEmpty {
        switch input.below(4) {
        case 0 where !toListener.isEmpty:
            switch toListener.removeFirst() {
            case .identity(let identity):
                listenerBook.note(listener.identityRead(identity), identity)
                listenerBook.note(listener.leased(true), allowed: true)
                toService.append(.identity(.server))
                taking = true
            case .message(let id): listenerBook.note(listener.responseRead(id: id), id: id)
            case .line(let line):
                listenerBook.note(listener.controlLineRead(line), line)
                toService.append(.line(.proceed))
                taking = true
            }
        case 1 where !toService.isEmpty:
            switch toService.removeFirst() {
            case .identity(let identity): serviceBook.note(service.identityRead(identity), identity)
            case .message(let id):
                serviceBook.note(service.requestRead(id: id), id: id)
                guard let id else {
                    toListener.append(.line(.next))
                    continue
                }
                executed.append(id)
                dispatching = true
            case .line(let line): serviceBook.note(service.controlLineRead(line), line)
            }
        case 2 where dispatching:
            dispatching = false
            serviceBook.note(service.responseSent())
            toListener += [.message(executed.last), .line(.next)]
        case 3 where taking:
            taking = false
            let id = input.flag() ? "\(next)" : nil
            next += 1
            listenerBook.note(listener.requestTaken(id: id, peerHasNews: false), id: id, peerHasNews: false)
            toService.append(.message(id))
        default: continue
        }
        require(!listenerBook.closed, "the listener finds fault with our service: \(listener.stateName)")
        require(!serviceBook.closed, "the service finds fault with our listener: \(service.stateName)")
        require(Set(executed).count == executed.count, "a request was executed twice")
        require(executed.starts(with: listenerBook.completed), "an answer to what was not executed")
    }
}

/// A client of ours and a listener of ours on wires that deliver, or break, at any moment.
///
/// The client has one call at a time and repeats it for as long as its machine allows. Nobody may find fault with the
/// other, nothing is executed twice, an answer is the answer to what was asked, and a call that was given up before its
/// first byte went out was not executed.
func clientConversation(_ input: inout FuzzInput) {
    var scene = ClientScene()
    while !input.isEmpty { scene.step(&input) }
}

private struct ClientScene: ~Copyable {
    private var client = ClientConnection()
    private var listener = ListenerConnection()
    private var book = ListenerBook()
    private var toListener: [Spoken] = []
    private var toClient: [Spoken] = []
    /// What the call under way is called, what its answer has to be.
    private var call: String?
    private var calls = 0
    private var begun = false
    private var idle = false
    private var firstByteWent = false
    private var dispatching: String?
    private var executed: Set<String> = []

    init() { self.accept() }

    /// A new connection, which the listener trusts.
    private mutating func accept() {
        self.client = .init()
        self.listener = .init()
        self.book = .init()
        (self.toListener, self.toClient, self.dispatching) = ([], [], nil)
        (self.begun, self.idle) = (false, false)
        self.book.note(self.listener.openingRead(.messageExchange), .messageExchange)
        self.book.note(self.listener.authorised(true), trusted: true)
    }

    mutating func step(_ input: inout FuzzInput) {
        switch input.below(8) {
        case 0, 1: self.listenerReads()
        case 2, 3: self.clientReads()
        case 4, 5: self.listenerAnswers()
        case 6: self.begin()
        default: self.breaks()
        }
        require(!self.book.closed, "the listener finds fault with our client: \(self.listener.stateName)")
    }

    private mutating func begin() {
        guard !self.begun else { return }
        if self.call == nil {
            self.calls += 1
            self.call = "\(self.calls)"
            self.firstByteWent = false
        }
        self.begun = true
        switch self.client.begin() {
        case .sendIdentityThenReadIdentity:
            require(!self.idle, "a second identity")
            self.toListener.append(.identity(.client))
        case .sendNextThenReadControlLine:
            require(self.idle, "NEXT on a new connection")
            self.toListener.append(.line(.next))
        case .closeWithError(let error): require(false, "our client cannot begin: \(error)")
        }
    }

    private mutating func clientReads() {
        guard !self.toClient.isEmpty else { return }
        switch self.toClient.removeFirst() {
        case .identity(let identity): self.send(self.client.identityRead(identity))
        case .line(let line): self.send(self.client.controlLineRead(line))
        case .message(let id):
            guard case .complete = self.client.responseRead(id: id) else {
                require(false, "the client finds fault with our listener: \(self.client.stateName)")
                return
            }
            require(id != nil && id == self.call, "the answer to another call")
            require(self.executed.contains(self.call ?? ""), "an answer to what was not executed")
            (self.call, self.begun, self.idle) = (nil, false, true)
        }
    }

    private mutating func send(_ answer: ClientConnection.OnAnswer) {
        let id = self.call ?? ""
        guard case .sendRequest = answer, case .sendThenReadResponse = self.client.requestBegins(id: id) else {
            require(false, "the client finds fault with our listener: \(self.client.stateName)")
            return
        }
        self.firstByteWent = true
        self.toListener.append(.message(id))
    }

    private mutating func listenerReads() {
        guard !self.toListener.isEmpty else { return }
        switch self.toListener.removeFirst() {
        case .identity(let identity):
            self.book.note(self.listener.identityRead(identity), identity)
            self.toClient.append(.identity(.server))
        case .line(let line):
            self.book.note(self.listener.controlLineRead(line), line)
            self.toClient.append(.line(.proceed))
        case .message(let id):
            self.book.note(self.listener.requestRead(id: id), id: id)
            require(self.executed.insert(id ?? "").inserted, "a request was executed twice")
            self.dispatching = id
        }
    }

    private mutating func listenerAnswers() {
        guard let id = self.dispatching else { return }
        self.dispatching = nil
        self.book.note(self.listener.responseSent())
        self.toClient.append(.message(id))
    }

    /// The connection breaks; the call, if it may, tries another, as does one whose idle connection has gone.
    private mutating func breaks() {
        let (pooled, failure) = (self.idle, self.client.failed())
        switch failure {
        case .mayRetry(let wasPooled):
            require(!self.executed.contains(self.call ?? ""), "what may be repeated was executed")
            require(wasPooled == pooled, "a pooled connection is taken for a new one, or the reverse")
        case .neverRetry:
            require(self.call != nil && self.firstByteWent, "a call is given up that nobody can have seen")
            self.call = nil
        }
        if case .closeWithError = self.client.begin() {} else { require(false, "a broken connection is used again") }
        require(self.client.failed() == failure, "a broken connection forgets why")
        self.accept()
    }
}

private enum Spoken {
    case identity(RemoteIdentity)
    case message(String?)
    case line(ControlLine)
}

private let subscriber = RemoteIdentity.subscriber(EndPointURI(scheme: "poll", host: "a", port: nil))
