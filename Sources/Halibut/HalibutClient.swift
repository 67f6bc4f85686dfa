public import BSON
import FoundationEssentials
import HalibutProtocol
import Logging
import NIOCore
import NIOPosix
public import SecureTransport
import Synchronization

/// Makes calls: to listening services over pooled connections, to polling services through their queues.
public final class HalibutClient: Sendable {
    /// Calls that wait for polling services; a ``HalibutListener`` hands them out.
    public let pollingQueues = PollingQueues()

    private let identity: TLSIdentity
    private let configuration: HalibutConfiguration
    private let dialler: Dialler
    private let pool: ConnectionPool
    private let counter = Atomic<UInt64>(0)

    /// Creates a client that shows this certificate; nothing is dialled before the first call.
    ///
    /// - Throws: ``OpenSSLError`` when TLS cannot be set up.
    public init(identity: TLSIdentity, configuration: HalibutConfiguration = HalibutConfiguration()) throws {
        self.identity = identity
        self.configuration = configuration
        self.dialler = Dialler(context: try TLSContext(client: identity), configuration: configuration)
        self.pool = ConnectionPool(limits: configuration.limits)
    }

    /// Calls a method and waits for its answer.
    ///
    /// The call is not repeated once its first byte has gone out: an error with phase `transferring` may mean that the
    /// service executed it. Cancelling the task closes the connection; the service keeps executing (halibut.md 13).
    ///
    /// - Parameters:
    ///   - endPoint: Where the service is, and how hard to try.
    ///   - service: The contract's name on the wire: `IEchoService`.
    ///   - method: The method's name without `Async`.
    ///   - parameters: The arguments; documents need their `$type` first (halibut.md 6.4).
    ///   - streams: The data streams announced in the arguments.
    /// - Returns: The return value, and the data streams announced in it.
    /// - Throws: ``HalibutError``.
    public func call(
        _ endPoint: ServiceEndPoint,
        service: String,
        method: String,
        parameters: [BSONValue] = [],
        streams: [OutgoingDataStream] = []
    ) async throws -> RPCResponse {
        let activity = UUID.random()
        let number = self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let document = endPoint.wireDocument
        let request = RequestMessage(
            id: Self.requestID(service, method, number, activity),
            activityID: activity,
            endPoint: document,
            service: service,
            method: method,
            parameters: parameters
        )
        let call = OutgoingCall(
            endPoint: endPoint,
            endPointDocument: document,
            message: try Self.message(request, streams)
        )
        return try await self.configuration.observer.observing(
            ObservedCall(isClient: true, isPolling: endPoint.isPolling, service: service, method: method)
        ) {
            let (response, received) =
                endPoint.isPolling ? try await self.queue(call) : try await self.dial(call)
            switch response.outcome {
            case .result(let value): return RPCResponse(value: value, streams: received)
            case .error(let error): throw HalibutError(error)
            }
        }
    }

    /// The thumbprint of whoever listens there (halibut.md 2.6).
    ///
    /// Nothing is verified and no certificate is shown: ask somebody whether the answer is the right one.
    ///
    /// - Throws: ``HalibutError``.
    public func discover(host: String, port: Int, proxy: HTTPProxy? = nil) async throws -> Thumbprint {
        let text = EndPointURI(scheme: "https", host: host, port: port).text
        var endPoint = try ServiceEndPoint(text, remoteThumbprint: nil)
        endPoint.proxy = proxy
        let dialler = Dialler(context: try TLSContext(client: nil), configuration: self.configuration)
        do {
            let (pipe, details) = try await dialler.dial(endPoint, verification: .any)
            defer { pipe.close() }
            try await pipe.send(ByteBuffer(staticString: Opening.discoveryBytes))
            guard let peer = details.peer else { throw HalibutError(.network, "\(text) presented no certificate.") }
            return peer.thumbprint
        } catch let error as DialError {
            // Upstream wraps the failure with its message unchanged.
            throw HalibutError(AttemptFailure(error).code, error.cause)
        }
    }

    /// Says good-bye on idle connections and closes them.
    public func close() async {
        self.pool.close()
    }

    /// Pooled connections that wait for a call.
    package var idleConnectionCount: Int { self.pool.count }

    /// `IEchoService::SayHelloAsync[1] / 3dbbdab2-…` (halibut.md 7.1).
    private static func requestID(_ service: String, _ method: String, _ number: UInt64, _ activity: UUID) -> String {
        // Appending to what has the room already, where interpolation would allocate again and again.
        var id = ""
        id.reserveCapacity(service.utf8.count + method.utf8.count + 72)
        id += service
        id += "::"
        id += method
        id += "Async["
        id += String(number)
        id += "] / "
        id += activity.wireText
        return id
    }

    private static func message(_ request: RequestMessage, _ streams: [OutgoingDataStream]) throws -> OutgoingMessage {
        do {
            return try OutgoingMessage(request, streams: streams)
        } catch let error as WireError {
            throw HalibutError(.local, error.wireMessage)
        }
    }

    // MARK: Polling services

    private func queue(_ call: OutgoingCall) async throws -> PollingQueues.Answer {
        let timeout = call.endPoint.pollingRequestQueueTimeout
        do {
            return try await self.pollingQueues.call(
                call.endPoint.uri,
                call.message,
                pickupTimeout: timeout,
                eventLoop: self.configuration.eventLoopGroup.next()
            )
        } catch PollingQueues.Failure.pickupTimeout {
            throw HalibutError.notCollected(within: timeout)
        } catch PollingQueues.Failure.cancelledWhileConnecting {
            throw HalibutError.cancelled(.connecting)
        } catch PollingQueues.Failure.cancelledWhileTransferring {
            throw HalibutError.cancelled(.transferring)
        } catch {
            throw HalibutError.afterRequestBegan(call.endPoint, error)
        }
    }

    // MARK: Listening services

    private func dial(_ call: OutgoingCall) async throws -> PollingQueues.Answer {
        var attempts = ConnectAttempts(
            endPoint: call.endPointDocument,
            retriesUnexpectedCertificate: call.endPoint.retriesUnexpectedCertificate,
            now: .now
        )
        while true {
            let failure: AttemptFailure
            switch await self.attempt(call) {
            case .answered(let answer): return answer
            case .failedForGood(let error): throw error
            case .notBegun(let attempt): failure = attempt
            }
            guard !Task.isCancelled else { throw HalibutError.cancelled(.connecting) }
            switch attempts.failed(failure.reason, now: .now) {
            case .giveUp: throw HalibutError.beforeRequestBegan(call.endPoint, failure)
            case .retry(let pause, let clearPool):
                if clearPool { self.pool.clear(PoolKey(call.endPoint)) }
                self.configuration.logger.debug(
                    "Trying again to reach \(call.endPoint)",
                    metadata: ["error": "\(failure.cause)"]
                )
                if pause > .zero { try? await Task.sleep(for: pause) }
            }
        }
    }

    private enum Attempt: Sendable {
        case answered(PollingQueues.Answer)
        /// The request never began: another attempt may follow.
        case notBegun(AttemptFailure)
        case failedForGood(HalibutError)
    }

    /// Makes the call over a pooled or a new connection.
    private func attempt(_ call: OutgoingCall) async -> Attempt {
        if let connection = self.pool.take(PoolKey(call.endPoint)) { return await self.attempt(call, on: connection) }
        let pipe: WirePipe
        do throws(DialError) {
            let verification = PeerVerification.thumbprint(call.endPoint.remoteThumbprint)
            pipe = try await self.dialler.dial(call.endPoint, verification: verification).0
        } catch {
            return .notBegun(AttemptFailure(error))
        }
        return await self.attempt(call, on: PooledConnection(pipe: pipe))
    }

    /// The whole exchange happens on the connection's event loop: one change of threads there and one back.
    private func attempt(_ call: OutgoingCall, on connection: PooledConnection) async -> Attempt {
        await LoopExecutor.run(on: connection.pipe.channel.eventLoop) {
            do {
                let (answer, isReusable) = try await connection.exchange(call.message, self.configuration)
                if isReusable {
                    self.pool.put(connection, PoolKey(call.endPoint))
                } else {
                    connection.pipe.close()
                }
                return .answered(answer)
            } catch {
                connection.pipe.abort(error)
                switch connection.failed() {
                case .mayRetry(let wasPooled):
                    return .notBegun(AttemptFailure(error, own: self.identity.thumbprint, wasPooled: wasPooled))
                case .neverRetry where error is CancellationError: return .failedForGood(.cancelled(.transferring))
                case .neverRetry: return .failedForGood(.afterRequestBegan(call.endPoint, error))
                }
            }
        }
    }
}

/// A call on its way out.
struct OutgoingCall: Sendable {
    let endPoint: ServiceEndPoint
    let endPointDocument: EndPointDocument
    let message: OutgoingMessage
}

/// Why a call could not begin on one connection.
struct AttemptFailure {
    var reason: ConnectFailure
    var cause: String

    var code: HalibutError.Code {
        switch self.reason {
        case .unexpectedCertificate: .unexpectedCertificate
        case .proxyMisconfigured: .proxy
        default: .network
        }
    }

    init(_ error: DialError) {
        self.reason = error.reason
        self.cause = error.cause
    }

    /// A connection broke before a request could be sent.
    ///
    /// Before a new one's listener identified itself, it most likely does not trust us.
    init(_ error: any Error, own: Thumbprint, wasPooled: Bool) {
        self.reason = wasPooled ? .pooledConnection : .other
        self.cause = error.wireCause
        if !wasPooled, error.isConnectionClosed {
            self.cause +=
                " The server aborted the connection before it was fully established. This usually means that the server rejected the certificate that we provided. We provided a certificate with a thumbprint of '\(own)'."
        }
    }
}

extension HalibutError {
    /// The texts of halibut.md 10.2 and 12.1.
    @inline(never)
    static func beforeRequestBegan(_ endPoint: ServiceEndPoint, _ failure: AttemptFailure) -> HalibutError {
        // Upstream says "after" for a wrong certificate, too, and nothing was sent all the same.
        let when = failure.code == .unexpectedCertificate ? "after the request began" : "before the request could begin"
        return HalibutError(
            failure.code,
            "An error occurred when sending a request to '\(endPoint.baseURI)', \(when): \(failure.cause)"
        )
    }

    @inline(never)
    static func afterRequestBegan(_ endPoint: ServiceEndPoint, _ error: any Error) -> HalibutError {
        HalibutError(
            (error as? HalibutError)?.code == .local ? .local : .network,
            "An error occurred when sending a request to '\(endPoint.baseURI)', after the request began: \(error.wireCause)",
            phase: .transferring
        )
    }

    @inline(never)
    static func notCollected(within timeout: Duration) -> HalibutError {
        HalibutError(
            .pickupTimeout,
            "A request was sent to a polling endpoint, but the polling endpoint did not collect the request within the allowed time (\(timeout.timeSpanText)), so the request timed out."
        )
    }

    @inline(never)
    static func cancelled(_ phase: Phase) -> HalibutError {
        let word = phase == .connecting ? "Connecting" : "Transferring"
        return HalibutError(.cancelled, "The Request was cancelled while \(word).", phase: phase)
    }
}
