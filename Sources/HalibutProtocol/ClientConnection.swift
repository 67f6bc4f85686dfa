/// One dialled connection, from the client's side (halibut.md 3.3).
///
///     new ─MX-CLIENT─▶ identifying ─MX-SERVER─▶ ready ─request─▶ exchanging ─response─▶ idle
///                                                 ▲───PROCEED── testing ◀───────NEXT─────┘
///
/// What fails before `exchanging` may be tried again elsewhere; what fails from there on must not (halibut.md 10.2).
package struct ClientConnection: ~Copyable {
    /// How to make the connection ready for a request.
    package enum OnBegin: Hashable, Sendable {
        case sendIdentityThenReadIdentity
        case sendNextThenReadControlLine
        case closeWithError(WireError)
    }

    /// After the listener's answer.
    package enum OnAnswer: Hashable, Sendable {
        case sendRequest
        case closeWithError(WireError)
    }

    /// After a response.
    package enum OnResponse: Hashable, Sendable {
        case complete
        case closeWithError(WireError)
    }

    private enum State: ~Copyable {
        /// Exits: `identifying`.
        case new
        /// Exits: `ready`.
        case identifying
        /// Exits: `exchanging`.
        case ready
        /// Exits: `idle`.
        case exchanging(id: String)
        /// Exits: `testing`.
        case idle
        /// Exits: `ready`.
        case testing
        /// Exits: none.
        case closed

        var name: String {
            switch self {
            case .new: "not identified"
            case .identifying: "waiting for MX-SERVER"
            case .ready: "ready"
            case .exchanging: "waiting for a response"
            case .idle: "idle"
            case .testing: "waiting for PROCEED"
            case .closed: "closed"
            }
        }
    }

    private var state: State

    package init() { self.init(.new) }

    private init(_ state: consuming State) { self.state = state }

    /// Whether the connection may be pooled.
    package var isIdle: Bool {
        switch self.state {
        case .idle: true
        case _: false
        }
    }

    /// A call wants the connection.
    package mutating func begin() -> OnBegin {
        switch consume self.state {
        case .new:
            self = .init(.identifying)
            return .sendIdentityThenReadIdentity
        case .idle:
            self = .init(.testing)
            return .sendNextThenReadControlLine
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("call", in: other.name))
        }
    }

    package mutating func identityRead(_ identity: RemoteIdentity) -> OnAnswer {
        switch consume self.state {
        case .identifying where identity == .server:
            self = .init(.ready)
            return .sendRequest
        case .identifying:
            self = .init(.closed)
            return .closeWithError(.notAServer(identity))
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("identity", in: other.name))
        }
    }

    package mutating func controlLineRead(_ line: ControlLine) -> OnAnswer {
        switch consume self.state {
        case .testing where line == .proceed:
            self = .init(.ready)
            return .sendRequest
        case .testing:
            self = .init(.closed)
            return .closeWithError(.expectedProceed(line.text))
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("control line", in: other.name))
        }
    }

    /// The first byte of a request is about to go out: from here on the call is never repeated.
    package mutating func requestBegins(id: String) {
        self = .init(.exchanging(id: id))
    }

    /// A response came; `nil` is a null message, which is none.
    package mutating func responseRead(id: String?) -> OnResponse {
        switch consume self.state {
        case .exchanging(let expected):
            if let id, id == expected {
                self = .init(.idle)
                return .complete
            }
            self = .init(.closed)
            return .closeWithError(id.map { .responseForAnotherRequest(expected: expected, got: $0) } ?? .noResponse)
        case let other:
            self = .init(.closed)
            return .closeWithError(.unexpected("response", in: other.name))
        }
    }
}
