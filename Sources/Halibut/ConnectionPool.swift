import FoundationEssentials
import HalibutProtocol
import NIOCore
import SecureTransport
import Synchronization

/// What connections are interchangeable for.
struct PoolKey: Hashable, Sendable {
    let thumbprint: Thumbprint?
    let uri: EndPointURI
    let proxy: HTTPProxy?

    init(_ endPoint: ServiceEndPoint) {
        self.thumbprint = endPoint.remoteThumbprint
        self.uri = endPoint.uri
        self.proxy = endPoint.proxy
    }
}

/// A dialled connection of a client, in a call or idle.
final class PooledConnection: Sendable, Identifiable {
    let pipe: WirePipe
    private let machine = Mutex(ClientConnection())

    var id: ConnectionID { self.pipe.id }

    init(pipe: WirePipe) {
        self.pipe = pipe
    }

    /// Makes a call: identifies or tests the connection, sends the request, waits for its response (halibut.md 3.3).
    ///
    /// The connection cannot be used again when more than the response came, or its end did: the call is answered all the
    /// same, and must not be made twice.
    func exchange(
        _ message: OutgoingMessage,
        _ configuration: HalibutConfiguration
    ) async throws -> (answer: PollingQueues.Answer, isReusable: Bool) {
        let stream = WireStream(pipe: self.pipe, limits: configuration.limits, spool: configuration.spool)
        try await self.prepare(stream, configuration.limits)
        // From the next line on the service may have executed the call, whatever becomes of it.
        try Task.checkCancellation()
        if case .closeWithError(let error) = self.machine.withLock({ $0.requestBegins(id: message.id) }) {
            throw error
        }
        try await stream.send(message)
        let response = try await stream.readResponse()
        if case .closeWithError(let error) = self.machine.withLock({ $0.responseRead(id: response?.0.id) }) {
            throw error
        }
        guard let response else { throw WireError.noResponse }
        return (response, stream.isDrained)
    }

    /// Identifies, or tests with `NEXT`: afterwards a request may be sent.
    private func prepare(_ stream: WireStream, _ limits: HalibutLimits) async throws {
        let answer: ClientConnection.OnAnswer
        switch self.machine.withLock({ $0.begin() }) {
        case .closeWithError(let error): throw error
        case .sendIdentityThenReadIdentity:
            try await stream.send {
                $0.writeStaticString(Opening.messageExchangeBytes)
                RemoteIdentity.client.write(to: &$0)
            }
            let identity = try await stream.readIdentity()
            answer = self.machine.withLock { $0.identityRead(identity) }
        case .sendNextThenReadControlLine:
            try await stream.send(timeout: limits.heartbeatSendTimeout) { ControlLine.next.write(to: &$0) }
            let line = try await stream.readControlLine(timeout: limits.heartbeatTimeout)
            answer = self.machine.withLock { $0.controlLineRead(line) }
        }
        if case .closeWithError(let error) = answer { throw error }
    }

    /// The connection failed: says what that means for its call.
    func failed() -> ClientConnection.OnFailure { self.machine.withLock { $0.failed() } }

    /// Says good-bye, best effort (halibut.md 2.8).
    func end() {
        var buffer = ByteBuffer()
        ControlLine.end.write(to: &buffer)
        self.pipe.channel.writeAndFlush(buffer, promise: nil)
        self.pipe.close()
    }
}

/// Idle connections by endpoint (halibut.md 10.1): ``IdleConnections`` decides, this class closes.
final class ConnectionPool: Sendable {
    private let limits: HalibutLimits
    private let connections: Mutex<IdleConnections<PoolKey, PooledConnection>>

    init(limits: HalibutLimits) {
        self.limits = limits
        self.connections = Mutex(IdleConnections(maximumPerKey: limits.maximumPooledConnections))
    }

    var count: Int { self.connections.withLock { $0.count } }

    /// The connection used last that is still alive, as far as we know.
    func take(_ key: PoolKey) -> PooledConnection? {
        while let connection = self.connections.withLock({ $0.take(key) }) {
            if !connection.pipe.hasNews { return connection }
            connection.pipe.close()
        }
        return nil
    }

    /// Keeps a connection after a fully successful exchange.
    func put(_ connection: PooledConnection, _ key: PoolKey) {
        let pipe = connection.pipe
        // The next call's deadlines replace this one.
        pipe.arm(self.limits.safePooledConnectionTimeout) { self.discard(pipe.id, key) }
        self.connections.withLock { $0.put(connection, key) }?.end()
        // Whatever comes now is the end, or something that nobody asked for.
        pipe.watch { self.discard(pipe.id, key) }
    }

    private func discard(_ id: ConnectionID, _ key: PoolKey) {
        self.connections.withLock { $0.remove(id, key) }?.end()
    }

    /// Closes the idle connections of an endpoint.
    func clear(_ key: PoolKey) {
        for connection in self.connections.withLock({ $0.clear(key) }) { connection.end() }
    }

    /// Closes all idle connections.
    func close() {
        for connection in self.connections.withLock({ $0.clear() }) { connection.end() }
    }
}
