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
        var identity: ServiceIdentity
        var trust: TrustedPeers
        var dispatcher: (any RPCDispatcher)?
        var queues: PollingQueues?
        var authorise: @Sendable (_ subscription: String, _ peer: Thumbprint) -> Bool
        var untrusted: @Sendable (_ remote: String, _ peer: Thumbprint) -> UntrustedPeerAction
        var friendlyPage: FriendlyPage
        var halibut: HalibutConfiguration
    }

    let configuration: Configuration
    private let bound = BoundPort()
    /// Who was accepted and has not said who it is.
    let unidentified: UnidentifiedConnections
    private let saidTooMany = Mutex<NIODeadline?>(nil)
    /// Authenticated connections per subscription.
    let subscribers = Mutex<[EndPointURI: Int]>([:])

    /// Prepares to listen with a certificate that stays, else as the initialiser for a ``ServiceIdentity``.
    public convenience init(
        host: String? = nil,
        port: Int,
        identity: TLSIdentity,
        trust: TrustedPeers,
        dispatcher: (any RPCDispatcher)? = nil,
        pollingQueues: PollingQueues? = nil,
        authorise: @escaping @Sendable (_ subscription: String, _ peer: Thumbprint) -> Bool = { _, _ in true },
        untrusted: @escaping @Sendable (_ remote: String, _ peer: Thumbprint) -> UntrustedPeerAction = { _, _ in .block
        },
        friendlyPage: FriendlyPage = FriendlyPage(),
        configuration: HalibutConfiguration = HalibutConfiguration()
    ) {
        self.init(
            host: host,
            port: port,
            identity: ServiceIdentity(identity),
            trust: trust,
            dispatcher: dispatcher,
            pollingQueues: pollingQueues,
            authorise: authorise,
            untrusted: untrusted,
            friendlyPage: friendlyPage,
            configuration: configuration
        )
    }

    /// Prepares to listen with a certificate that can be changed; ``run()`` does it.
    ///
    /// - Parameters:
    ///   - host: The address to listen on; by default all of the host's, IPv6 and IPv4.
    ///   - port: The port; with 0 the system chooses, see ``boundPort``.
    ///   - identity: The certificate shown to diallers; it may be changed while the listener runs.
    ///   - trust: The certificates that may do more than look at the page. It may change at any time.
    ///   - dispatcher: Executes the calls of clients; without it clients are turned away.
    ///   - pollingQueues: The calls for polling services, `HalibutClient.pollingQueues`; without it they are turned away.
    ///   - authorise: Whether this peer owns that subscription (`poll://id/`, normalised). Upstream does not ask, so any
    ///     trusted service could take the calls for any other (halibut.md 2.3).
    ///   - untrusted: What to do with a peer whose certificate is not trusted: `.block` it, or `.trustAndAllow`.
    ///   - friendlyPage: What a browser gets.
    ///   - configuration: Limits, spool directory, event loops and logger.
    public init(
        host: String? = nil,
        port: Int,
        identity: ServiceIdentity,
        trust: TrustedPeers,
        dispatcher: (any RPCDispatcher)? = nil,
        pollingQueues: PollingQueues? = nil,
        authorise: @escaping @Sendable (_ subscription: String, _ peer: Thumbprint) -> Bool = { _, _ in true },
        untrusted: @escaping @Sendable (_ remote: String, _ peer: Thumbprint) -> UntrustedPeerAction = { _, _ in .block
        },
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
            untrusted: untrusted,
            friendlyPage: friendlyPage,
            halibut: configuration
        )
        self.unidentified = UnidentifiedConnections(limits: configuration.limits)
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
    /// - Throws: ``HalibutError`` at once when the port cannot be had.
    public func run() async throws {
        let socket: ListeningSocket
        do {
            // What cannot be used for TLS shall not wait for the first connection to say so.
            _ = try self.configuration.identity.serverContext { nil }
            socket = try ListeningSocket(host: self.configuration.host, port: self.configuration.port)
        } catch {
            self.bound.resolve(.failure(error))
            throw error
        }
        self.bound.resolve(.success(socket.port))
        let (accepted, arrivals) = AsyncStream.makeStream(of: Arrival.self)
        await withDiscardingTaskGroup { group in
            group.addTask {
                await socket.run(
                    hasRoom: { self.unidentified.hasRoom },
                    failed: self.acceptFailed,
                    accepted: { self.accepted($0, arrivals) }
                )
                arrivals.finish()
            }
            for await arrival in accepted {
                group.addTask { await ListenerSession.run(arrival, listener: self) }
            }
            group.cancelAll()
        }
    }

    /// Out of descriptors or memory, or a connection that was gone again: the port stays open all the same.
    private func acceptFailed(_ number: CInt, consecutive: Int) {
        // One line when trouble begins, and one every few minutes while it lasts.
        guard consecutive == 4 || consecutive % 200 == 0 else { return }
        self.configuration.halibut.logger.warning(
            "Connections cannot be accepted: \(ErrorNumber.text(number)); trying again",
            metadata: ["failures": "\(consecutive)"]
        )
    }

    /// Puts an accepted socket on an event loop.
    private func accepted(_ socket: CInt, _ arrivals: AsyncStream<Arrival>.Continuation) {
        let limits = self.configuration.halibut.limits
        self.unidentified.arrives()
        let bootstrap = ClientBootstrap(group: self.configuration.halibut.eventLoopGroup)
        SocketSetup.apply(limits, to: bootstrap)
            .channelOption(.recvAllocator, value: ReadBuffers.unidentified)
            // Who has asked and sends no more still gets the answer: see WirePipe.close.
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.setUp(channel, socket, arrivals) }
            }
            .withConnectedSocket(socket)
            // Where this failed, the peer was quicker than we, and the channel is closed.
            .whenComplete { _ in self.unidentified.arrived() }
    }

    private func setUp(
        _ channel: any Channel,
        _ socket: CInt,
        _ arrivals: AsyncStream<Arrival>.Continuation
    ) throws {
        let (context, showing) = try self.configuration.identity.serverContext { SocketSetup.remoteHost(of: socket) }
        let pipe = try SocketSetup.addHandlers(
            to: channel,
            context: context,
            serverName: nil,
            verification: .any,
            limits: self.configuration.halibut.limits
        )
        let gate = try UnidentifiedGate.add(to: channel, limits: self.configuration.halibut.limits)
        self.configuration.halibut.observer?.connectionAccepted()
        if let evicted = self.unidentified.began(pipe, gate) { self.evicted(evicted) }
        if case .terminated = arrivals.yield(Arrival(pipe: pipe, showing: showing)) {
            self.unidentified.ended(pipe)
            self.configuration.halibut.observer?.connectionEnded(nil)
            // NIO closes the channel: it must not be closed before it is registered.
            throw CancellationError()
        }
    }

    /// Says so at most every ten seconds: a flood of connections must not become a flood of lines.
    private func evicted(_ pipe: WirePipe) {
        self.configuration.halibut.observer?.connectionDenied(
            ConnectionDenial(cause: .evicted, remote: pipe.remoteDescription)
        )
        let now = NIODeadline.now()
        let isTime = self.saidTooMany.withLock { last in
            guard last.map({ now - $0 > .seconds(10) }) ?? true else { return false }
            last = now
            return true
        }
        guard isTime else { return }
        self.configuration.halibut.logger.warning(
            "Too many connections have not identified themselves; the oldest are reset"
        )
    }
}

/// A connection that was accepted, and what it is shown if that could be one of two certificates.
struct Arrival: Sendable {
    var pipe: WirePipe
    var showing: ServiceIdentity.Showing?
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
