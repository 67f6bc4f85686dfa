package import HalibutProtocol
package import Logging
package import NIOCore
import NIOPosix
package import SecureTransport
import Synchronization

/// A service that waits for its clients to dial: a listening agent (halibut.md 3.3).
package final class ListeningService: Sendable {
    private let listener: HalibutListener

    /// Prepares to listen on `host` (by default all addresses, IPv6 and IPv4) and `port`.
    ///
    /// Port 0 lets the system choose, see ``boundPort``; `trust` says whose calls `dispatcher` executes.
    package init(
        host: String? = nil,
        port: Int,
        identity: TLSIdentity,
        trust: TrustedPeers,
        dispatcher: any RPCDispatcher,
        friendlyPage: FriendlyPage = FriendlyPage(),
        limits: HalibutLimits = HalibutLimits(),
        spool: SpoolDirectory = SpoolDirectory(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger
    ) {
        self.listener = HalibutListener(
            HalibutListener.Configuration(
                host: host,
                port: port,
                identity: identity,
                trust: trust,
                dispatcher: dispatcher,
                queues: nil,
                authorise: { _, _ in false },
                friendlyPage: friendlyPage,
                limits: limits,
                spool: spool,
                eventLoopGroup: eventLoopGroup,
                logger: logger
            )
        )
    }

    /// Listens until the task is cancelled.
    ///
    /// Throws at once when the port cannot be had.
    package func run() async throws { try await self.listener.run() }

    /// The port in use; waits until there is one.
    package var boundPort: Int {
        get async throws { try await self.listener.boundPort }
    }
}

/// A client's port for its polling services: the server's side of polling agents (halibut.md 3.4).
package final class PollingListener: Sendable {
    private let listener: HalibutListener

    /// Prepares to listen for subscribers to `queues`, which are `HalibutClient.pollingQueues`.
    ///
    /// `trust` says which certificates may connect at all, `authorise` whether this peer owns that subscription
    /// (`poll://id/`, normalised). Upstream does not ask, so any trusted agent could take the requests of any other
    /// (halibut.md 2.3).
    package init(
        host: String? = nil,
        port: Int,
        identity: TLSIdentity,
        trust: TrustedPeers,
        queues: PollingQueues,
        authorise: @escaping @Sendable (_ subscription: String, _ peer: Thumbprint) -> Bool = { _, _ in true },
        friendlyPage: FriendlyPage = FriendlyPage(),
        limits: HalibutLimits = HalibutLimits(),
        spool: SpoolDirectory = SpoolDirectory(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger
    ) {
        self.listener = HalibutListener(
            HalibutListener.Configuration(
                host: host,
                port: port,
                identity: identity,
                trust: trust,
                dispatcher: nil,
                queues: queues,
                authorise: authorise,
                friendlyPage: friendlyPage,
                limits: limits,
                spool: spool,
                eventLoopGroup: eventLoopGroup,
                logger: logger
            )
        )
    }

    /// Listens until the task is cancelled.
    ///
    /// Throws at once when the port cannot be had.
    package func run() async throws { try await self.listener.run() }

    /// The port in use; waits until there is one.
    package var boundPort: Int {
        get async throws { try await self.listener.boundPort }
    }

    /// Connections of a subscription right now.
    package func connectionCount(ofSubscription subscription: String) -> Int {
        guard let uri = EndPointURI(subscription) else { return 0 }
        return self.listener.subscribers.withLock { $0[uri] ?? 0 }
    }
}
