import HalibutProtocol
import NIOCore
import NIOPosix
import SecureTransport
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Opens connections to listeners (halibut.md 2).
struct Dialler: Sendable {
    let context: TLSContext
    let configuration: HalibutConfiguration

    /// Connects and shakes hands; the opening line has not been sent.
    func dial(
        _ endPoint: ServiceEndPoint,
        verification: PeerVerification
    ) async throws(DialError) -> (WirePipe, TLSConnectionDetails) {
        guard let observer = self.configuration.observer else {
            return try await self.dialUnobserved(endPoint, verification: verification)
        }
        let start = ContinuousClock.now
        do throws(DialError) {
            let (pipe, details) = try await self.dialUnobserved(endPoint, verification: verification)
            observer.dialled(ObservedDial(endPoint: endPoint, duration: ContinuousClock.now - start))
            observer.handshakeCompleted(ObservedHandshake(details, isDialler: true))
            return (pipe, details)
        } catch {
            observer.dialled(
                ObservedDial(endPoint: endPoint, duration: ContinuousClock.now - start, failure: "\(error.reason)")
            )
            throw error
        }
    }

    private func dialUnobserved(
        _ endPoint: ServiceEndPoint,
        verification: PeerVerification
    ) async throws(DialError) -> (WirePipe, TLSConnectionDetails) {
        if let problem = endPoint.proxy?.problem { throw DialError(problem) }
        let pipe: WirePipe
        do {
            pipe = try await self.connect(endPoint, verification)
        } catch {
            let error = Task.isCancelled ? CancellationError() : error
            throw DialError(connecting: error, endPoint: endPoint)
        }
        do {
            let details = try await withTaskCancellationHandler {
                try await pipe.waitUntilEstablished()
            } onCancel: {
                pipe.abort(CancellationError())
            }
            return (pipe, details)
        } catch {
            pipe.abort(error)
            throw DialError(handshaking: error, endPoint: endPoint)
        }
    }

    private func connect(_ endPoint: ServiceEndPoint, _ verification: PeerVerification) async throws -> WirePipe {
        let (context, limits, uri, proxy) = (self.context, self.configuration.limits, endPoint.uri, endPoint.proxy)
        let attempts = ConnectingChannels()
        let bootstrap = ClientBootstrap(group: self.configuration.eventLoopGroup)
            .connectTimeout(TimeAmount(endPoint.tcpClientConnectTimeout))
        return try await withTaskCancellationHandler {
            try await SocketSetup.apply(limits, to: bootstrap)
                .connect(host: proxy?.host ?? uri.host, port: proxy?.port ?? uri.dialledPort) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        SocketSetup.closeOnExec(channel)
                        try attempts.began(channel)
                        if let proxy {
                            let handler = ProxyConnectHandler(to: uri, through: proxy, limits: limits)
                            try channel.pipeline.syncOperations.addHandler(handler)
                        }
                        // Through a proxy, too, TLS is with the endpoint: its name, its certificate.
                        return try SocketSetup.addHandlers(
                            to: channel,
                            context: context,
                            serverName: uri.host,
                            verification: verification,
                            limits: limits
                        )
                    }
                }
        } onCancel: {
            attempts.cancel()
        }
    }
}

/// The addresses of one name that are being tried: NIO goes on with them when the task is cancelled, we do not.
private final class ConnectingChannels: Sendable {
    private struct State {
        var channels: [any Channel] = []
        var isCancelled = false
    }

    private let state = Mutex(State())

    func began(_ channel: any Channel) throws {
        let isCancelled = self.state.withLock { state in
            state.channels.append(channel)
            return state.isCancelled
        }
        if isCancelled { throw CancellationError() }
    }

    func cancel() {
        let channels = self.state.withLock { state in
            state.isCancelled = true
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }
}

/// Why a connection could not be made, and whether another attempt is worthwhile (halibut.md 10.2).
struct DialError: Error, CustomStringConvertible {
    var reason: ConnectFailure
    var cause: String

    var description: String { self.cause }

    private init(_ reason: ConnectFailure, _ cause: String) {
        self.reason = reason
        self.cause = cause
    }

    private init(errno number: CInt, host: String) {
        self.init(number == ECONNREFUSED ? .connectionRefused : .other, "\(ErrorNumber.text(number)) (\(host))")
    }

    private init(connectTimeout limit: Duration) {
        self.init(
            .other,
            "The client was unable to establish the initial connection within the timeout \(limit.timeSpanText)."
        )
    }

    init(_ error: ProxyError) {
        let reason: ConnectFailure =
            switch error.kind {
            case .misconfigured: .proxyMisconfigured
            case .refused: .proxyRefused
            case .network: .other
            }
        self.init(reason, error.wireMessage)
    }

    init(connecting error: any Error, endPoint: ServiceEndPoint) {
        self.init(connectingTo: error, endPoint: endPoint)
        guard let proxy = endPoint.proxy, self.reason != .cancelled else { return }
        self.init(ProxyError.unreachable(proxy, self.cause))
    }

    private init(connectingTo error: any Error, endPoint: ServiceEndPoint) {
        switch error {
        case is CancellationError: self.init(.cancelled, "the call was cancelled")
        case ChannelError.connectTimeout: self.init(connectTimeout: endPoint.tcpClientConnectTimeout)
        case let error as NIOConnectionError: self.init(error, endPoint: endPoint)
        case let error as IOError: self.init(errno: error.errnoCode, host: endPoint.baseURI)
        default: self.init(.other, "\(error)")
        }
    }

    init(handshaking error: any Error, endPoint: ServiceEndPoint) {
        switch error {
        case is CancellationError: self.init(.cancelled, "the call was cancelled")
        case let error as ProxyError: self.init(error)
        case let error as TLSError:
            guard let certificate = error.unexpectedCertificate else {
                self.init(error.code == .handshakeFailed ? .handshakeFailed : .other, "\(error)")
                return
            }
            self.init(.unexpectedCertificate, certificate.wireMessage(uri: endPoint.baseURI))
        default: self.init(.other, error.wireCause)
        }
    }

    /// All addresses of a name were tried; the first failure is the telling one.
    private init(_ error: NIOConnectionError, endPoint: ServiceEndPoint) {
        guard let first = error.connectionErrors.first?.error else {
            self.init(.hostNotFound, "No such host is known: \(error.host)")
            return
        }
        switch first {
        case let failure as IOError: self.init(errno: failure.errnoCode, host: "\(error.host):\(error.port)")
        case ChannelError.connectTimeout: self.init(connectTimeout: endPoint.tcpClientConnectTimeout)
        default: self.init(.other, "\(first)")
        }
    }
}

extension Error {
    /// One line for "before the request could begin: …".
    var wireCause: String {
        switch self {
        case let error as WireError: error.wireMessage
        case let error as HalibutError: error.message
        case let error as IOError: ErrorNumber.text(error.errnoCode)
        case is ChannelError: WireError.connectionClosed.wireMessage
        default: "\(self)"
        }
    }

    /// Whether it says that the other side hung up.
    var isConnectionClosed: Bool {
        switch self {
        case let error as WireError: error.code == .connectionClosed
        case let error as IOError: [ECONNRESET, EPIPE, ECONNABORTED].contains(error.errnoCode)
        case let error as TLSError: error.code == .closed || error.code == .closedDuringHandshake
        case is ChannelError: true
        default: false
        }
    }
}
