public import HalibutProtocol
import Logging
import NIOCore
import NIOPosix
public import SecureTransport
import Synchronization

/// A listening port: clients that make calls, subscribers that wait for them, and everybody else gets a page.
///
/// A service that its clients dial gives it a dispatcher, a client whose services poll gives it its queues. One port can
/// do both: the identity line decides (halibut.md 1).
public final class HalibutListener: Sendable {
    struct Configuration: Sendable {
        var host: String?
        var port: Int
        var identity: TLSIdentity
        var trust: TrustedPeers
        var dispatcher: (any RPCDispatcher)?
        var queues: PollingQueues?
        var authorise: @Sendable (_ subscription: String, _ peer: Thumbprint) -> Bool
        var friendlyPage: FriendlyPage
        var limits: HalibutLimits
        var spool: SpoolDirectory
        var eventLoopGroup: any EventLoopGroup
        var logger: Logger
    }

    let configuration: Configuration
    private let bound = BoundPort()
    private let unidentified = Atomic<Int>(0)
    /// Authenticated connections per subscription.
    let subscribers = Mutex<[EndPointURI: Int]>([:])

    /// Prepares to listen; ``run()`` does it.
    ///
    /// - Parameters:
    ///   - host: The address to listen on; by default all of the host's, IPv6 and IPv4.
    ///   - port: The port; with 0 the system chooses, see ``boundPort``.
    ///   - identity: The certificate shown to everybody.
    ///   - trust: The certificates that may do more than look at the page. It may change at any time.
    ///   - dispatcher: Executes the calls of clients; without it clients are turned away.
    ///   - pollingQueues: The calls for polling services, `HalibutClient.pollingQueues`; without it they are turned away.
    ///   - authorise: Whether this peer owns that subscription (`poll://id/`, normalised). Upstream does not ask, so any
    ///     trusted service could take the calls for any other (halibut.md 2.3).
    ///   - friendlyPage: What a browser gets.
    ///   - configuration: Limits, spool directory, event loops and logger.
    public init(
        host: String? = nil,
        port: Int,
        identity: TLSIdentity,
        trust: TrustedPeers,
        dispatcher: (any RPCDispatcher)? = nil,
        pollingQueues: PollingQueues? = nil,
        authorise: @escaping @Sendable (_ subscription: String, _ peer: Thumbprint) -> Bool = { _, _ in true },
        friendlyPage: FriendlyPage = FriendlyPage(),
        configuration: HalibutConfiguration = HalibutConfiguration()
    ) {
        self.configuration = Configuration(
            host: host,
            port: port,
            identity: identity,
            trust: trust,
            dispatcher: dispatcher,
            queues: pollingQueues,
            authorise: authorise,
            friendlyPage: friendlyPage,
            limits: configuration.limits,
            spool: configuration.spool,
            eventLoopGroup: configuration.eventLoopGroup,
            logger: configuration.logger
        )
    }

    /// The port in use; waits until there is one.
    ///
    /// - Throws: What ``run()`` throws when the port cannot be had.
    public var boundPort: Int {
        get async throws { try await self.bound.value() }
    }

    /// Connections of a subscription right now.
    public func connectionCount(ofSubscription subscription: String) -> Int {
        guard let uri = EndPointURI(subscription) else { return 0 }
        return self.subscribers.withLock { $0[uri] ?? 0 }
    }

    /// Listens until the task is cancelled; then every connection is closed.
    ///
    /// - Throws: ``HalibutError`` at once when the port cannot be had; `CancellationError` at the end.
    public func run() async throws {
        let server: NIOAsyncChannel<WirePipe, Never>
        do {
            server = try await self.bind()
        } catch {
            self.bound.resolve(.failure(error))
            throw error
        }
        self.bound.resolve(.success(server.channel.localAddress?.port ?? 0))
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { connections in
                for try await pipe in connections {
                    group.addTask {
                        await LoopIsolation.run(on: pipe.channel.eventLoop) {
                            await ListenerSession(pipe: pipe, listener: self).run()
                        }
                    }
                }
            }
            group.cancelAll()
        }
    }

    private func bind() async throws -> NIOAsyncChannel<WirePipe, Never> {
        let context = try TLSContext(server: self.configuration.identity)
        if let host = self.configuration.host { return try await self.bind(host: host, context: context) }
        // IPv6 with IPv4 mapped into it where the kernel has it, else IPv4 alone (halibut.md 2.1).
        do {
            return try await self.bind(host: "::", context: context)
        } catch let error as HalibutError where error.isAddressFamilyMissing {
            return try await self.bind(host: "0.0.0.0", context: context)
        }
    }

    private func bind(host: String, context: TLSContext) async throws -> NIOAsyncChannel<WirePipe, Never> {
        let limits = self.configuration.limits
        let bootstrap = ServerBootstrap(group: self.configuration.eventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 512)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { SocketSetup.closeOnExec(channel) }
            }
        do {
            return try await SocketSetup.apply(limits, toChildrenOf: bootstrap)
                .bind(host: host, port: self.configuration.port) { channel in
                    channel.eventLoop.makeCompletedFuture { try self.accept(channel, context) }
                }
        } catch {
            throw HalibutError.cannotListen(host: host, port: self.configuration.port, error)
        }
    }

    /// Sets up an accepted connection.
    ///
    /// NIO leaves it open when this fails, so we close it.
    private func accept(_ channel: any Channel, _ context: TLSContext) throws -> WirePipe {
        do {
            let pipe = try SocketSetup.addHandlers(
                to: channel,
                context: context,
                serverName: nil,
                verification: .any,
                limits: self.configuration.limits
            )
            try self.countUnidentified()
            return pipe
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    /// One more connection that has not said who it is.
    private func countUnidentified() throws(WireError) {
        let count = self.unidentified.wrappingAdd(1, ordering: .relaxed).newValue
        guard count > self.configuration.limits.maximumUnidentifiedConnections else { return }
        self.unidentified.wrappingSubtract(1, ordering: .relaxed)
        self.configuration.logger.warning("Too many connections have not identified themselves; one is turned away")
        throw .limit("Too many connections have not identified themselves.")
    }

    /// The connection has said who it is, or has ended without.
    func leftUnidentified() {
        self.unidentified.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// A value that is awaited before it exists.
final class BoundPort: Sendable {
    private struct State {
        var result: Result<Int, any Error>?
        var waiters: [CheckedContinuation<Int, any Error>] = []
    }

    private let state = Mutex(State())

    func value() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            let result = self.state.withLock { state in
                if state.result == nil { state.waiters.append(continuation) }
                return state.result
            }
            if let result { continuation.resume(with: result) }
        }
    }

    func resolve(_ result: Result<Int, any Error>) {
        let waiters = self.state.withLock { state in
            state.result = result
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(with: result) }
    }
}
