public import BSON
public import FoundationEssentials
public import SecureTransport

/// A call that came from a peer, with its data streams received.
public struct RPCRequest: Sendable {
    /// The request's id on the wire.
    public var id: String
    /// Ties together what one operation of the caller does; zero from old peers.
    public var activityID: UUID
    /// The contract's name, as the caller spelled it.
    public var service: String
    /// The method's name without `Async`, as the caller spelled it.
    public var method: String
    /// The arguments, not yet decoded.
    public var parameters: [BSONValue]
    /// The data streams announced in the arguments, by id.
    ///
    /// Their files are deleted when the call ends.
    public var streams: [UUID: ReceivedDataStream]
    /// Who calls.
    public var peer: Thumbprint

    /// Creates a request, as a connection does.
    public init(
        id: String,
        activityID: UUID,
        service: String,
        method: String,
        parameters: [BSONValue],
        streams: [UUID: ReceivedDataStream],
        peer: Thumbprint
    ) {
        self.id = id
        self.activityID = activityID
        self.service = service
        self.method = method
        self.parameters = parameters
        self.streams = streams
        self.peer = peer
    }
}

/// What a service returns.
public struct RPCResult: Sendable {
    /// The return value; `.null` for a method that returns nothing.
    ///
    /// A document needs its `$type` first.
    public var value: BSONValue
    /// The data streams announced in the value.
    public var streams: [OutgoingDataStream]

    /// Creates a result.
    public init(_ value: BSONValue, streams: [OutgoingDataStream] = []) {
        self.value = value
        self.streams = streams
    }

    /// The result of a method that returns nothing.
    public static let void = RPCResult(.null)
}

/// What a service answered to our call.
///
/// The streams' files live as long as somebody holds the streams.
public struct RPCResponse: Sendable {
    /// The return value, not yet decoded.
    public var value: BSONValue
    /// The data streams announced in the value, by id.
    public var streams: [UUID: ReceivedDataStream]
}

/// Executes the calls of peers: the application's side of a service.
///
/// An error thrown becomes the error response of halibut.md 8.3, and the connection stays usable:
/// ``RPCServiceNotFound``, ``RPCMethodNotFound``, ``RPCAmbiguousMethod`` and ``RPCShuttingDown`` their own rows, anything
/// else "service code threw", with the error's `description` as its message.
public protocol RPCDispatcher: Sendable {
    /// Executes one call. Calls of several connections run at the same time, those of one connection never do.
    func dispatch(_ request: RPCRequest) async throws -> RPCResult
}

/// Thrown by a dispatcher that does not know the service.
public struct RPCServiceNotFound: Error, Hashable {
    /// The name asked for.
    public var service: String

    /// Creates the error.
    public init(service: String) { self.service = service }
}

/// Thrown by a dispatcher that does not know the method.
public struct RPCMethodNotFound: Error, Hashable {
    /// The name of the implementation, as .NET would have it.
    public var service: String
    /// The method asked for, without `Async`.
    public var method: String

    /// Creates the error.
    public init(service: String, method: String) {
        self.service = service
        self.method = method
    }
}

/// Thrown by a dispatcher when not exactly one overload fits the arguments (halibut.md 8.2).
public struct RPCAmbiguousMethod: Error, Hashable {
    /// The method's overloads, each in the form `ReturnType Name(ParameterTypes)`.
    public var candidates: [String]
    /// The arguments' wire types (`String`, `Int64`, `<null>`, …).
    public var argumentTypes: [String]
    /// Whether several overloads fit, rather than none.
    public var severalFit: Bool

    /// Creates the error.
    public init(candidates: [String], argumentTypes: [String], severalFit: Bool = false) {
        self.candidates = candidates
        self.argumentTypes = argumentTypes
        self.severalFit = severalFit
    }
}

/// Thrown by a dispatcher whose service failed, to say under which .NET name the failure is reported.
public struct RPCServiceError: Error, Hashable, CustomStringConvertible {
    /// What went wrong; shown to the user.
    public var message: String
    /// The exception type that the peer's log shows.
    public var typeName: String

    /// Creates the error.
    public init(_ message: String, typeName: String = "System.Exception") {
        self.message = message
        self.typeName = typeName
    }

    public var description: String { self.message }
}

/// Thrown by a dispatcher that is being stopped: the caller may try again elsewhere, or later.
public struct RPCShuttingDown: Error, Hashable {
    /// Creates the error.
    public init() {}
}
