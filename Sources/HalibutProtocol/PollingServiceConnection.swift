/// One dialled connection, from a polling service's side (halibut.md 3.4).
///
///     new ─MX-SUBSCRIBER─▶ identifying ─MX-SERVER─▶ awaitingRequest ─request─▶ dispatching
///                                                     ▲   └──NUL──▶ awaitingProceed ◀─response, NEXT─┘
///                                                     └──PROCEED──────────┘
///
/// Every state can also go to `closed`. Like ``ClientConnection`` it expects `MX-SERVER` and `PROCEED`; the three lines
/// that this takes read better twice than behind a machine of their own.
package struct PollingServiceConnection: ~Copyable {
    /// After the listener's identity.
    package enum OnIdentity: Hashable, Sendable {
        /// The server took us: the back-off starts afresh.
        case resetBackoffThenReadRequest
        case closeWithError(WireError)
    }

    /// After a message came.
    package enum OnRequest: Hashable, Sendable {
        case dispatch(id: String)
        case sendNextThenReadControlLine
        case closeWithError(WireError)
    }

    /// After a response went out.
    package enum OnSent: Hashable, Sendable {
        case sendNextThenReadControlLine
        case closeWithError(WireError)
    }

    /// After a control line.
    package enum OnControlLine: Hashable, Sendable {
        case readRequest
        case closeWithError(WireError)
    }

    private enum State: ~Copyable {
        /// Exits: `awaitingRequest`.
        case identifying
        /// Exits: `dispatching`, `awaitingProceed` (after a NUL request).
        case awaitingRequest
        /// Exits: `awaitingProceed`.
        case dispatching
        /// Exits: `awaitingRequest`.
        case awaitingProceed
        /// Exits: none.
        case closed

        var name: String {
            switch self {
            case .identifying: "waiting for MX-SERVER"
            case .awaitingRequest: "waiting for a request"
            case .dispatching: "executing a request"
            case .awaitingProceed: "waiting for PROCEED"
            case .closed: "closed"
            }
        }
    }

    private var state: State

    /// A connection on which the identity line is about to be sent.
    package init() { self.init(.identifying) }

    private init(_ state: consuming State) { self.state = state }

    /// What the connection is doing, for messages and tests.
    package var stateName: String { self.state.name }

    package mutating func identityRead(_ identity: RemoteIdentity) -> OnIdentity {
        switch consume self.state {
        case .identifying where identity == .server:
            self = .init(.awaitingRequest)
            return .resetBackoffThenReadRequest
        case .identifying:
            self = .init(.closed)
            return .closeWithError(.notAServer(identity))
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("identity", in: other.name))
        }
    }

    /// A message came; `nil` is the NUL request.
    package mutating func requestRead(id: String?) -> OnRequest {
        switch consume self.state {
        case .awaitingRequest:
            guard let id else {
                self = .init(.awaitingProceed)
                return .sendNextThenReadControlLine
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
            self = .init(.awaitingProceed)
            return .sendNextThenReadControlLine
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("response", in: other.name))
        }
    }

    package mutating func controlLineRead(_ line: ControlLine) -> OnControlLine {
        switch consume self.state {
        case .awaitingProceed where line == .proceed:
            self = .init(.awaitingRequest)
            return .readRequest
        case .awaitingProceed:
            self = .init(.closed)
            return .closeWithError(.expectedProceed(line.text))
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("control line", in: other.name))
        }
    }
}
