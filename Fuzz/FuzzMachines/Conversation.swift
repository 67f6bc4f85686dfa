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
    listenerBook.note(listener.openingRead(.messageExchange))
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
                if listenerBook.closed { return }
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

private enum Spoken {
    case identity(RemoteIdentity)
    case message(String?)
    case line(ControlLine)
}

private let subscriber = RemoteIdentity.subscriber(EndPointURI(scheme: "poll", host: "a", port: nil))
