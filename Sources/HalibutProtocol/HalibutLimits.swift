/// Every bound on what a peer may send and how long it may take (halibut.md 4).
///
/// The defaults are the column *Agent*: what the real agent sets for itself. Each number stands here once.
public struct HalibutLimits: Hashable, Sendable {
    // MARK: Time

    /// Any single read without a more specific rule; also the TLS handshake, opening and identity lines.
    public var receiveTimeout: Duration = .seconds(60)
    /// Any single write.
    public var sendTimeout: Duration = .seconds(60)
    /// First byte of a response: the longest a call may execute.
    public var receiveResponseTimeout: Duration = .seconds(300)
    /// First byte of a request, polling service: the queue's wait plus 30 s.
    public var receiveRequestTimeoutForPolling: Duration = .seconds(60)
    /// First byte of a request, listening service.
    public var nextRequestIdleTimeout: Duration = .seconds(600)
    /// Waiting for `PROCEED`, and for `NEXT` or `END` on a polling connection.
    public var heartbeatTimeout: Duration = .seconds(60)
    /// Sending `NEXT`, `PROCEED` or `END` by itself.
    public var heartbeatSendTimeout: Duration = .seconds(60)
    /// How long a listener lets a subscriber wait before it sends a NUL request (halibut.md 3.4).
    public var pollingQueueWaitTimeout: Duration = .seconds(30)
    /// How long a pooled connection stays.
    ///
    /// Upstream says 9 minutes, but agents hang up after one minute (halibut.md 10.1).
    public var pooledConnectionTimeout: Duration = .seconds(50)
    /// The same, but always less than a listening service waits for its next request.
    package var safePooledConnectionTimeout: Duration {
        self.pooledConnectionTimeout < self.nextRequestIdleTimeout
            ? self.pooledConnectionTimeout : max(.zero, self.nextRequestIdleTimeout - .seconds(10))
    }
    /// Shortest pause before a polling service dials again (halibut.md 11.2).
    public var minimumPollingBackoff: Duration = .seconds(5)
    /// Longest pause before a polling service dials again.
    public var maximumPollingBackoff: Duration = .seconds(120)
    /// How long the listener reads on after the friendly page, so that a reset does not destroy the page.
    public var lingerTimeout: Duration = .seconds(2)

    /// Any single read of an HTTP proxy's reply (halibut.md 14); the whole of it has ``receiveTimeout``.
    public var proxyReadTimeout: Duration = .seconds(15)
    /// From a connection being accepted to its certificate being trusted, however it spreads its bytes.
    ///
    /// Real diallers need three round trips; a stranger must not hold a slot with a byte every 59 s.
    public var identificationTimeout: Duration = .seconds(60)

    /// How long a connection keeps its place before it identifies itself although others wait for it.
    ///
    /// A thousand polling services that come back at once need that on a small machine.
    public var identificationGrace: Duration = .seconds(2)

    // MARK: TCP keep-alive (a dead peer is noticed in about 65 s)

    /// Whether silent connections are probed at all.
    public var usesKeepAlive = true
    /// Silence on a connection before the first probe, in seconds.
    public var keepAliveIdleSeconds: Int32 = 15
    /// From one probe to the next, in seconds.
    public var keepAliveIntervalSeconds: Int32 = 5
    /// Probes without an answer after which the connection is gone.
    public var keepAliveProbes: Int32 = 10

    /// Whether small segments leave at once; invisible to the peer but for the time that they take.
    public var usesNoDelay = true

    // MARK: Sizes

    /// Characters of the opening request before the first blank line (halibut.md 2.5).
    public var maximumOpeningBytes = 20_000
    /// Bytes of one control or identity line; upstream has no bound, we use the opening's.
    public var maximumControlLineBytes = 20_000
    /// Encrypted bytes taken from a connection that has not identified itself; the rest waits in the kernel.
    ///
    /// A handshake with a large certificate, the longest opening, and a whole record (16 KiB) with the identity in it
    /// fit.
    public var maximumUnidentifiedBytes = 48 * 1024
    /// Bytes of an HTTP proxy's reply up to its blank line; a login page's headers are below 8 KiB.
    public var maximumProxyReplyBytes = 16 * 1024
    /// Bytes of one message once inflated (halibut.md 5.3).
    public var maximumMessageBytes = 256 * 1024 * 1024
    /// Bytes of memory that the values of one message may take.
    ///
    /// A null is 2 bytes of the message and 24 in memory. This holds a log of a million lines.
    public var maximumMessageMemoryBytes = 384 * 1024 * 1024
    /// How many times larger than its compressed form a message may be, once it exceeds ``inflateRatioFloorBytes``.
    ///
    /// Deflate cannot exceed 1032; a log of equal lines reaches some 300. More is somebody making us allocate.
    public var maximumInflateRatio = 400
    /// Below this size the ratio is not looked at: 16 MiB cost nothing worth protecting.
    public var inflateRatioFloorBytes = 16 * 1024 * 1024
    /// Data streams that may follow one message; a deployment script has a handful of files.
    public var maximumDataStreams = 4096
    /// Bytes of all data streams of one message.
    ///
    /// Free disk is checked as well.
    public var maximumDataStreamBytes: Int64 = 1 << 40

    // MARK: Counts

    /// Idle connections kept per endpoint (halibut.md 4).
    public var maximumPooledConnections = 5
    /// Accepted connections that have not identified themselves yet; a stranger must not use up all descriptors.
    ///
    /// One more waits in the kernel until one has identified itself, or until the oldest has had its grace and is reset.
    public var maximumUnidentifiedConnections = 512
    /// Authenticated connections per subscription; none by default, like upstream (halibut.md 2.7).
    public var maximumConnectionsPerSubscription: Int?
    /// Connections one polling service may be told to keep (halibut.md 11.1).
    public static let maximumPollingConnections = 512

    /// The defaults.
    public init() {}
}
