public import SecureTransport

/// Is told what the clients, services and listeners of a program do: for metrics, an audit log, a status page.
///
/// Every method has an implementation that does nothing: implement those that you want. They are called on event loops
/// and in the middle of calls, so they must be quick and must not block. Gauges are not reported but asked for:
/// ``PollingQueues/waiting``, ``SpoolDirectory/bytesInUse``. ``HalibutMetrics`` is an observer that counts.
public protocol HalibutObserver: Sendable {
    /// A listener accepted a connection; nothing is known about it.
    func connectionAccepted()
    /// An accepted connection was trusted and has said who it is.
    func connectionIdentified(_ peer: ObservedPeer)
    /// An accepted connection has ended; without a peer it had never identified itself.
    func connectionEnded(_ peer: ObservedPeer?)
    /// A listener turned a connection away.
    func connectionDenied(_ denial: ConnectionDenial)
    /// A TLS handshake is done, on either side.
    func handshakeCompleted(_ handshake: ObservedHandshake)
    /// A client or polling service dialled, whatever came of it.
    func dialled(_ dial: ObservedDial)
    /// A polling service's server took it on.
    func pollingBegan(subscription: String, server: ServiceEndPoint)
    /// A polling service lost its connection, or found no server, and pauses before it dials again.
    func pollingPaused(subscription: String, server: ServiceEndPoint, pause: Duration, cause: String)
    /// A call begins: ours to a service, or a peer's to us.
    func callBegan(_ call: ObservedCall)
    /// The call has ended.
    func callEnded(_ call: ObservedCall, after duration: Duration, outcome: CallOutcome)
}

extension HalibutObserver {
    public func connectionAccepted() {}
    public func connectionIdentified(_ peer: ObservedPeer) {}
    public func connectionEnded(_ peer: ObservedPeer?) {}
    public func connectionDenied(_ denial: ConnectionDenial) {}
    public func handshakeCompleted(_ handshake: ObservedHandshake) {}
    public func dialled(_ dial: ObservedDial) {}
    public func pollingBegan(subscription: String, server: ServiceEndPoint) {}
    public func pollingPaused(subscription: String, server: ServiceEndPoint, pause: Duration, cause: String) {}
    public func callBegan(_ call: ObservedCall) {}
    public func callEnded(_ call: ObservedCall, after duration: Duration, outcome: CallOutcome) {}
}

/// Who is at the other end of an accepted connection.
public struct ObservedPeer: Hashable, Sendable {
    /// The address it came from.
    public var remote: String
    /// Its certificate.
    public var thumbprint: Thumbprint
    /// Its subscription, `poll://id/`; nothing for a client that makes calls.
    public var subscription: String?
}

/// A connection that a listener turned away.
public struct ConnectionDenial: Hashable, Sendable {
    /// Why; more may come.
    public struct Cause: Hashable, Sendable, CustomStringConvertible {
        /// Short and stable: fit for a metric's label.
        public let description: String

        /// It showed no certificate.
        public static let noCertificate = Cause(description: "noCertificate")
        /// Its certificate is not trusted.
        public static let untrusted = Cause(description: "untrusted")
        /// The subscription belongs to another certificate.
        public static let notOwner = Cause(description: "notOwner")
        /// The subscription has as many connections as it may have.
        public static let subscriptionLimit = Cause(description: "subscriptionLimit")
        /// It did not identify itself, and its place was needed.
        public static let evicted = Cause(description: "evicted")
        /// It makes calls where none are executed, or waits for calls where none are made.
        public static let notServed = Cause(description: "notServed")
    }

    public var cause: Cause
    /// The address it came from.
    public var remote: String
    /// The certificate it showed.
    public var thumbprint: Thumbprint?
    /// The subscription it asked for.
    public var subscription: String?
}

/// A finished TLS handshake.
public struct ObservedHandshake: Hashable, Sendable {
    /// Whether we dialled.
    public var isDialler: Bool
    /// `TLSv1.2` or `TLSv1.3`.
    public var protocolVersion: String
    /// OpenSSL's name of the suite.
    public var cipher: String
    /// The peer's certificate, if it showed one.
    public var thumbprint: Thumbprint?
}

/// One attempt to reach a listener.
public struct ObservedDial: Hashable, Sendable {
    public var endPoint: ServiceEndPoint
    /// How long the connection and the handshake took.
    public var duration: Duration
    /// Why it failed, fit for a metric's label; nothing when it did not.
    public var failure: String?
}

/// A call, to us or by us.
public struct ObservedCall: Hashable, Sendable {
    /// Whether we make it, rather than execute it.
    public var isClient: Bool
    /// Whether the service is a polling one, rather than a listening one.
    public var isPolling: Bool
    /// The contract's name.
    public var service: String
    /// The method's name.
    public var method: String

    /// Describes a call.
    public init(isClient: Bool, isPolling: Bool, service: String, method: String) {
        self.isClient = isClient
        self.isPolling = isPolling
        self.service = service
        self.method = method
    }
}

/// What a call came to; more may come.
public struct CallOutcome: Hashable, Sendable, CustomStringConvertible {
    /// Short and stable: fit for a metric's label.
    public let description: String

    /// The service answered.
    public static let success = CallOutcome(description: "success")
    /// The service's code failed.
    public static let invocation = CallOutcome(description: "invocation")
    /// There is no such service or method.
    public static let notFound = CallOutcome(description: "notFound")
    /// The connection failed.
    public static let network = CallOutcome(description: "network")
    /// The caller cancelled.
    public static let cancelled = CallOutcome(description: "cancelled")
    /// No polling service collected it in time.
    public static let pickupTimeout = CallOutcome(description: "pickupTimeout")
    /// Anything else.
    public static let other = CallOutcome(description: "other")

    init(description: String) { self.description = description }

    /// What an error of a service means to it.
    init(ofService error: any Error) {
        switch error {
        case is RPCServiceNotFound, is RPCMethodNotFound, is RPCAmbiguousMethod: self = .notFound
        default: self = .invocation
        }
    }

    /// What an error of a call means to its caller.
    init(_ error: any Error) {
        switch error {
        case is CancellationError: self = .cancelled
        case let error as HalibutError:
            switch error.code {
            case .network, .unexpectedCertificate, .proxy: self = .network
            case .pickupTimeout: self = .pickupTimeout
            case .cancelled: self = .cancelled
            case .invocation: self = .invocation
            case .serviceNotFound, .methodNotFound, .ambiguousMethod: self = .notFound
            default: self = .other
            }
        default: self = .other
        }
    }
}

extension ObservedHandshake {
    init(_ details: TLSConnectionDetails, isDialler: Bool) {
        self.init(
            isDialler: isDialler,
            protocolVersion: details.protocolVersion,
            cipher: details.cipher,
            thumbprint: details.peer?.thumbprint
        )
    }
}

extension Optional where Wrapped == any HalibutObserver {
    /// Runs a call's body; where nobody observes, at the cost of one comparison.
    func observing<Result>(
        _ call: @autoclosure () -> ObservedCall,
        failure: (any Error) -> CallOutcome = { CallOutcome($0) },
        _ body: () async throws -> Result
    ) async throws -> Result {
        guard let self else { return try await body() }
        let (call, start) = (call(), ContinuousClock.now)
        self.callBegan(call)
        do {
            let result = try await body()
            self.callEnded(call, after: ContinuousClock.now - start, outcome: .success)
            return result
        } catch {
            self.callEnded(call, after: ContinuousClock.now - start, outcome: failure(error))
            throw error
        }
    }
}
