/// One dialled connection, from the client's side (halibut.md 3.3).
///
///     new ─MX-CLIENT─▶ identifying ─MX-SERVER─▶ ready ─request─▶ exchanging ─response─▶ idle
///                                                 ▲───PROCEED── testing ◀───────NEXT─────┘
///
/// Every state can also go to `closed`, which remembers whether the call may be tried again elsewhere: what fails before
/// `exchanging` may, what fails from there on must not (halibut.md 10.2).
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

    /// When the first byte of a request is about to go out.
    package enum OnRequest: Hashable, Sendable {
        case sendThenReadResponse
        case closeWithError(WireError)
    }

    /// After a response.
    package enum OnResponse: Hashable, Sendable {
        case complete
        case closeWithError(WireError)
    }

    /// After the connection failed, whatever the reason.
    package enum OnFailure: Hashable, Sendable {
        /// Not a byte of the request went out: another connection may carry it.
        case mayRetry(wasPooled: Bool)
        /// The service may have executed the call.
        case neverRetry
    }

    private enum State: ~Copyable {
        /// Exits: `identifying`.
        case new
        /// Exits: `ready`.
        case identifying
        /// Exits: `exchanging`.
        case ready(wasPooled: Bool)
        /// Exits: `idle`.
        case exchanging(id: String)
        /// Exits: `testing`.
        case idle
        /// Exits: `ready`.
        case testing
        /// Exits: none.
        case closed(OnFailure)

        var name: String {
            switch self {
            case .new: "not identified"
            case .identifying: "waiting for MX-SERVER"
            case .ready(let wasPooled): wasPooled ? "ready again" : "ready"
            case .exchanging: "waiting for a response"
            case .idle: "idle"
            case .testing: "waiting for PROCEED"
            case .closed(.mayRetry(let wasPooled)): wasPooled ? "closed in the pool" : "closed before the request"
            case .closed(.neverRetry): "closed after the request began"
            }
        }

        /// What a failure in this state means for the call.
        var onFailure: OnFailure {
            switch self {
            case .new: .mayRetry(wasPooled: false)
            case .identifying: .mayRetry(wasPooled: false)
            case .ready(let wasPooled): .mayRetry(wasPooled: wasPooled)
            case .exchanging: .neverRetry
            case .idle: .mayRetry(wasPooled: true)
            case .testing: .mayRetry(wasPooled: true)
            case .closed(let earlier): earlier
            }
        }
    }

    private var state: State

    package init() { self.init(.new) }

    private init(_ state: consuming State) { self.state = state }

    /// What the connection is doing, for messages and tests.
    package var stateName: String { self.state.name }

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
            self = .init(.closed(other.onFailure))
            return .closeWithError(.unexpected("call", in: other.name))
        }
    }

    package mutating func identityRead(_ identity: RemoteIdentity) -> OnAnswer {
        switch consume self.state {
        case .identifying where identity == .server:
            self = .init(.ready(wasPooled: false))
            return .sendRequest
        case .identifying:
            self = .init(.closed(.mayRetry(wasPooled: false)))
            return .closeWithError(.notAServer(identity))
        case let other:
            self = .init(.closed(other.onFailure))
            return .closeWithError(.unexpected("identity", in: other.name))
        }
    }

    package mutating func controlLineRead(_ line: ControlLine) -> OnAnswer {
        switch consume self.state {
        case .testing where line == .proceed:
            self = .init(.ready(wasPooled: true))
            return .sendRequest
        case .testing:
            self = .init(.closed(.mayRetry(wasPooled: true)))
            return .closeWithError(.expectedProceed(line.text))
        case let other:
            self = .init(.closed(other.onFailure))
            return .closeWithError(.unexpected("control line", in: other.name))
        }
    }

    /// The first byte of a request is about to go out: from here on the call is never repeated.
    package mutating func requestBegins(id: String) -> OnRequest {
        switch consume self.state {
        case .ready:
            self = .init(.exchanging(id: id))
            return .sendThenReadResponse
        case let other:
            self = .init(.closed(other.onFailure))
            return .closeWithError(.unexpected("request", in: other.name))
        }
    }

    /// A response came; `nil` is a null message, which is none.
    package mutating func responseRead(id: String?) -> OnResponse {
        switch consume self.state {
        case .exchanging(let expected):
            if let id, id == expected {
                self = .init(.idle)
                return .complete
            }
            self = .init(.closed(.neverRetry))
            return .closeWithError(id.map { .responseForAnotherRequest(expected: expected, got: $0) } ?? .noResponse)
        case let other:
            self = .init(.closed(other.onFailure))
            return .closeWithError(.unexpected("response", in: other.name))
        }
    }

    /// The connection broke, said something wrong, or its call was cancelled.
    package mutating func failed() -> OnFailure {
        let onFailure = self.state.onFailure
        self = .init(.closed(onFailure))
        return onFailure
    }
}
