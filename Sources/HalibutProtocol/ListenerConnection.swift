/// One accepted connection, from the listener's side, in either mode (halibut.md 3.5).
///
///     opening ─MX─▶ authorising ─▶ identifying ─CLIENT──────▶ awaitingRequest ─▶ dispatching ─▶ awaitingControl(client)
///        │              │              │                            ▲───────────── PROCEED ──────────────┘
///        ▼              ▼              └─SUBSCRIBER─▶ leasing ─▶ taking ─▶ awaitingResponse ─▶ awaitingControl(subscriber)
///      closed        closed                                         ▲─┴─ NUL ────────────────────────────┘ PROCEED
///
/// Every state can also go to `closed`: by an unexpected line, by a failure, or because the connection ended.
package struct ListenerConnection: ~Copyable {
    /// After the opening bytes.
    package enum OnOpening: Hashable, Sendable {
        case authorise
        case sendFriendlyPageThenClose
        case closeSilently
    }

    /// After the trust decision.
    ///
    /// Nothing is ever sent to a peer that is not trusted.
    package enum OnAuthorised: Hashable, Sendable {
        case readIdentity
        case closeSilently
    }

    /// After the identity line.
    package enum OnIdentity: Hashable, Sendable {
        case sendIdentityThenReadRequest
        case lease(EndPointURI)
        /// Upstream answers a listener that calls itself a listener before it hangs up.
        case sendIdentityThenCloseWithError(WireError)
        case closeWithError(WireError)
    }

    /// After asking whether this peer may subscribe.
    package enum OnLeased: Hashable, Sendable {
        case sendIdentityThenTakeRequest
        case closeSilently
    }

    /// After a request came from a client.
    package enum OnRequest: Hashable, Sendable {
        case dispatch(id: String)
        case closeQuietly
        case closeWithError(WireError)
    }

    /// After a response went out.
    package enum OnSent: Hashable, Sendable {
        case readControlLine
        case closeWithError(WireError)
    }

    /// After a subscriber's turn at the queue.
    package enum OnTaken: Hashable, Sendable {
        case sendRequestThenReadResponse
        case sendNullThenReadControlLine
        /// The subscriber has gone and not a byte of the request went out: somebody else shall have it.
        case putBackThenClose
        case closeQuietly
        case closeWithError(WireError)
    }

    /// After a subscriber's response.
    package enum OnResponse: Hashable, Sendable {
        case completeThenReadControlLine(id: String)
        case closeWithError(WireError)
    }

    /// After a control line.
    package enum OnControlLine: Hashable, Sendable {
        case sendProceedThenReadRequest
        case sendProceedThenTakeRequest
        case closeQuietly
        case closeWithError(WireError)
    }

    private enum State: ~Copyable {
        /// Exits: `authorising`.
        case opening
        /// Exits: `identifying`.
        case authorising
        /// Exits: `awaitingRequest`, `leasing`.
        case identifying
        /// Exits: `dispatching`.
        case awaitingRequest
        /// Exits: `awaitingControl`.
        case dispatching
        /// Exits: `taking`.
        case leasing
        /// Exits: `awaitingResponse`, `awaitingControl` (after a NUL request).
        case taking
        /// Exits: `awaitingControl`.
        case awaitingResponse(id: String)
        /// Exits: `awaitingRequest`, `taking`.
        case awaitingControl(subscriber: Bool)
        /// Exits: none.
        case closed

        var name: String {
            switch self {
            case .opening: "waiting for the opening"
            case .authorising: "deciding about trust"
            case .identifying: "waiting for the identity"
            case .awaitingRequest: "waiting for a request"
            case .dispatching: "executing a request"
            case .leasing: "deciding about the subscription"
            case .taking: "waiting for a request to send"
            case .awaitingResponse: "waiting for a response"
            case .awaitingControl(let subscriber):
                subscriber ? "waiting for NEXT or END of a subscriber" : "waiting for NEXT or END"
            case .closed: "closed"
            }
        }
    }

    private var state: State

    package init() { self.init(.opening) }

    private init(_ state: consuming State) { self.state = state }

    /// What the connection is doing, for messages and tests.
    package var stateName: String { self.state.name }

    package mutating func openingRead(_ opening: Opening) -> OnOpening {
        switch consume self.state {
        case .opening where opening == .messageExchange:
            self = .init(.authorising)
            return .authorise
        case .opening where opening == .other:
            self = .init(.closed)
            return .sendFriendlyPageThenClose
        case _:
            self = .init(.closed)
            return .closeSilently
        }
    }

    package mutating func authorised(_ trusted: Bool) -> OnAuthorised {
        switch consume self.state {
        case .authorising where trusted:
            self = .init(.identifying)
            return .readIdentity
        case _:
            self = .init(.closed)
            return .closeSilently
        }
    }

    package mutating func identityRead(_ identity: RemoteIdentity) -> OnIdentity {
        switch consume self.state {
        case .identifying:
            switch identity {
            case .client:
                self = .init(.awaitingRequest)
                return .sendIdentityThenReadRequest
            case .subscriber(let uri):
                self = .init(.leasing)
                return .lease(uri)
            case .server:
                self = .init(.closed)
                return .sendIdentityThenCloseWithError(.unexpectedServerIdentity)
            }
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("identity", in: other.name))
        }
    }

    package mutating func leased(_ allowed: Bool) -> OnLeased {
        switch consume self.state {
        case .leasing where allowed:
            self = .init(.taking)
            return .sendIdentityThenTakeRequest
        case _:
            self = .init(.closed)
            return .closeSilently
        }
    }

    /// A client's request came; `nil` is a null message, which means "close" here (halibut.md 5.4).
    package mutating func requestRead(id: String?) -> OnRequest {
        switch consume self.state {
        case .awaitingRequest:
            guard let id else {
                self = .init(.closed)
                return .closeQuietly
            }
            self = .init(.dispatching)
            return .dispatch(id: id)
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("request", in: other.name))
        }
    }

    package mutating func responseSent() -> OnSent {
        switch consume self.state {
        case .dispatching:
            self = .init(.awaitingControl(subscriber: false))
            return .readControlLine
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("response", in: other.name))
        }
    }

    /// The queue gave a request, or (`nil`) had none in time.
    ///
    /// A waiting subscriber sends nothing except `END` when it stops: `peerHasNews` says that it has gone
    /// (halibut.md 12.2).
    package mutating func requestTaken(id: String?, peerHasNews: Bool) -> OnTaken {
        switch consume self.state {
        case .taking where peerHasNews:
            self = .init(.closed)
            return id == nil ? .closeQuietly : .putBackThenClose
        case .taking:
            guard let id else {
                self = .init(.awaitingControl(subscriber: true))
                return .sendNullThenReadControlLine
            }
            self = .init(.awaitingResponse(id: id))
            return .sendRequestThenReadResponse
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("request", in: other.name))
        }
    }

    /// A response came; `nil` is a null message, which is none (halibut.md 5.4).
    package mutating func responseRead(id: String?) -> OnResponse {
        switch consume self.state {
        case .awaitingResponse(let expected):
            if let id, id == expected {
                self = .init(.awaitingControl(subscriber: true))
                return .completeThenReadControlLine(id: id)
            }
            self = .init(.closed)
            return .closeWithError(id.map { .responseForAnotherRequest(expected: expected, got: $0) } ?? .noResponse)
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("response", in: other.name))
        }
    }

    package mutating func controlLineRead(_ line: ControlLine) -> OnControlLine {
        switch consume self.state {
        case .awaitingControl(let subscriber) where line == .next:
            self = .init(subscriber ? .taking : .awaitingRequest)
            return subscriber ? .sendProceedThenTakeRequest : .sendProceedThenReadRequest
        case .awaitingControl where line == .end:
            self = .init(.closed)
            return .closeQuietly
        case .awaitingControl:
            self = .init(.closed)
            return .closeWithError(.expectedNextOrEnd(line.text))
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("control line", in: other.name))
        }
    }
}
