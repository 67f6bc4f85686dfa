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
final class PooledConnection: Sendable {
    let pipe: WirePipe
    private let machine = Mutex(ClientConnection())

    init(pipe: WirePipe) {
        self.pipe = pipe
    }

    /// Identifies, or tests with `NEXT`: afterwards a request may be sent (halibut.md 3.3).
    func prepare(limits: HalibutLimits, spool: SpoolDirectory) async throws {
        let stream = WireStream(pipe: self.pipe, limits: limits, spool: spool)
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
            try await stream.send { ControlLine.next.write(to: &$0) }
            let line = try await stream.readControlLine(timeout: limits.heartbeatTimeout)
            answer = self.machine.withLock { $0.controlLineRead(line) }
        }
        if case .closeWithError(let error) = answer { throw error }
    }

    /// Sends a request and waits for its response.
    func exchange(
        _ call: OutgoingCall,
        limits: HalibutLimits,
        spool: SpoolDirectory
    ) async throws -> PollingQueues.Answer {
        let stream = WireStream(pipe: self.pipe, limits: limits, spool: spool)
        if case .closeWithError(let error) = self.machine.withLock({ $0.requestBegins(id: call.request.id) }) {
            throw error
        }
        try await stream.send(
            call.request.document,
            id: call.request.id,
            streams: call.streams,
            announced: call.announced
        )
        let response = try await stream.readResponse()
        if case .closeWithError(let error) = self.machine.withLock({ $0.responseRead(id: response?.0.id) }) {
            throw error
        }
        guard let response, stream.isDrained else { throw WireError.noResponse }
        return response
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
    private struct Entry: Identifiable {
        let connection: PooledConnection
        let expiry: Scheduled<Void>

        var id: ConnectionID { self.connection.pipe.id }

        func end() {
            self.expiry.cancel()
            self.connection.end()
        }
    }

    private let limits: HalibutLimits
    private let entries: Mutex<IdleConnections<PoolKey, Entry>>

    init(limits: HalibutLimits) {
        self.limits = limits
        self.entries = Mutex(IdleConnections(maximumPerKey: limits.maximumPooledConnections))
    }

    /// The connection used last that is still alive, as far as we know.
    func take(_ key: PoolKey) -> PooledConnection? {
        while let entry = self.entries.withLock({ $0.take(key) }) {
            entry.expiry.cancel()
            if !entry.connection.pipe.hasNews { return entry.connection }
            entry.connection.pipe.close()
        }
        return nil
    }

    /// Keeps a connection after a fully successful exchange.
    func put(_ connection: PooledConnection, _ key: PoolKey) {
        let pipe = connection.pipe
        let expiry = pipe.channel.eventLoop.scheduleTask(in: TimeAmount(self.limits.safePooledConnectionTimeout)) {
            self.discard(pipe.id, key)
        }
        self.entries.withLock { $0.put(Entry(connection: connection, expiry: expiry), key) }?.end()
        // Whatever comes now is the end, or something that nobody asked for.
        pipe.watch { self.discard(pipe.id, key) }
    }

    private func discard(_ id: ConnectionID, _ key: PoolKey) {
        self.entries.withLock { $0.remove(id, key) }?.end()
    }

    /// Closes the idle connections of an endpoint.
    func clear(_ key: PoolKey) {
        for entry in self.entries.withLock({ $0.clear(key) }) { entry.end() }
    }

    /// Closes all idle connections.
    func close() {
        for entry in self.entries.withLock({ $0.clear() }) { entry.end() }
    }
}
