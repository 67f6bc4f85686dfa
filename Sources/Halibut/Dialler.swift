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
    let limits: HalibutLimits
    let eventLoopGroup: any EventLoopGroup

    /// Connects and shakes hands; the opening line has not been sent.
    func dial(
        _ endPoint: ServiceEndPoint,
        verification: PeerVerification
    ) async throws(DialError) -> (WirePipe, TLSConnectionDetails) {
        let pipe: WirePipe
        do {
            pipe = try await self.connect(endPoint, verification)
        } catch {
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
        let (context, limits, host) = (self.context, self.limits, endPoint.uri.host)
        let bootstrap = ClientBootstrap(group: self.eventLoopGroup)
            .connectTimeout(TimeAmount(endPoint.tcpClientConnectTimeout))
        return try await SocketSetup.apply(limits, to: bootstrap)
            .connect(host: host, port: endPoint.uri.dialledPort) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try SocketSetup.addHandlers(
                        to: channel,
                        context: context,
                        serverName: host,
                        verification: verification,
                        limits: limits
                    )
                }
            }
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

    init(connecting error: any Error, endPoint: ServiceEndPoint) {
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

extension HalibutError {
    var isAddressFamilyMissing: Bool { self.code == .local && self.message.hasSuffix(Self.addressFamilyMissing) }

    private static var addressFamilyMissing: String { "\(ErrorNumber.text(EAFNOSUPPORT))." }

    @inline(never)
    static func cannotListen(host: String, port: Int, _ error: any Error) -> HalibutError {
        guard let number = (error as? IOError)?.errnoCode else {
            return HalibutError(.local, "Could not listen on \(host) port \(port): \(error.wireCause)")
        }
        if number == EADDRINUSE {
            return HalibutError(
                .local,
                "Port \(port) on \(host) is in use: stop the program that listens there, or choose another port."
            )
        }
        if number == EADDRNOTAVAIL, host == "::" {
            return cannotListen(host: host, port: port, IOError(errnoCode: EAFNOSUPPORT, reason: "bind"))
        }
        return HalibutError(.local, "Could not listen on \(host) port \(port): \(ErrorNumber.text(number)).")
    }
}
