/// How long a polling service pauses before it dials again (halibut.md 11.2).
///
///     sleep = clamp(elapsed since the first failed try × m, 5 s, 120 s),   m = 1 + random[0, 1), chosen once
package struct PollingBackoff: Sendable {
    private let multiplier: Double
    private let minimum: Duration
    private let maximum: Duration
    private var failingSince: ContinuousClock.Instant?

    /// `jitter` is 0 ..< 1, so that the agents of a restarted server do not return all at once.
    package init(jitter: Double, limits: HalibutLimits) {
        self.multiplier = 1 + min(max(jitter, 0), 1)
        self.minimum = limits.minimumPollingBackoff
        self.maximum = limits.maximumPollingBackoff
    }

    /// A try begins: the first one since the last success starts the clock.
    package mutating func tryBegan(now: ContinuousClock.Instant) {
        if self.failingSince == nil { self.failingSince = now }
    }

    /// The server accepted us: an outage from here on begins with the shortest pause again.
    package mutating func identified() {
        self.failingSince = nil
    }

    /// The connection is gone; how long to wait.
    package func pause(now: ContinuousClock.Instant) -> Duration {
        guard let failingSince else { return self.minimum }
        return min(max((now - failingSince) * self.multiplier, self.minimum), self.maximum)
    }
}

/// Why no request could be begun on a connection, as far as it matters for the next attempt (halibut.md 10.2).
package enum ConnectFailure: Hashable, Sendable {
    /// Not the certificate that the endpoint names.
    case unexpectedCertificate
    /// No common version or cipher, or no TLS at all.
    case handshakeFailed
    case connectionRefused
    case hostNotFound
    /// The proxy's settings are wrong, or it refuses us.
    case proxyMisconfigured
    /// The proxy could not reach the endpoint.
    case proxyRefused
    case cancelled
    /// A pooled connection had died in the pool: that says nothing about the peer.
    case pooledConnection
    /// A time-out, a reset, a listener that hangs up.
    case other
}

/// Whether a dialler may try once more to begin (halibut.md 10.2, 11.2).
package struct ConnectAttempts: Sendable {
    /// Who dials.
    package enum Role: Hashable, Sendable {
        /// With a call to make.
        case client
        /// To be given calls: it has a back-off of its own and does not insist on a port that refuses.
        case pollingService
    }

    /// What to do after a failure before the request began.
    package enum OnFailure: Hashable, Sendable {
        /// Try again after the pause; `clearPool` says that pooled connections are worthless.
        case retry(after: Duration, clearPool: Bool)
        case giveUp
    }

    private let role: Role
    private let countLimit: Int
    private let pause: Duration
    private let deadline: ContinuousClock.Instant
    private var failures = 0
    private var pooledFailures = 0
    private var mayMeetUnexpectedCertificate: Bool

    /// With `retriesUnexpectedCertificate` one unexpected certificate of the listener is worth another attempt.
    package init(
        endPoint: EndPointDocument,
        role: Role = .client,
        retriesUnexpectedCertificate: Bool = false,
        now: ContinuousClock.Instant
    ) {
        self.role = role
        self.mayMeetUnexpectedCertificate = retriesUnexpectedCertificate
        self.countLimit = max(1, Int(endPoint.retryCountLimit))
        self.pause = endPoint.retryListeningSleepInterval
        self.deadline = now + endPoint.connectionErrorRetryTimeout
    }

    /// An attempt failed.
    package mutating func failed(_ failure: ConnectFailure, now: ContinuousClock.Instant) -> OnFailure {
        guard now < self.deadline else { return .giveUp }
        switch failure {
        case .unexpectedCertificate where self.mayMeetUnexpectedCertificate:
            self.mayMeetUnexpectedCertificate = false
            fallthrough
        case .connectionRefused where self.role == .client, .proxyRefused, .other:
            self.failures += 1
            guard self.failures < self.countLimit else { return .giveUp }
            return .retry(after: self.pause, clearPool: self.pooledFailures + self.failures == 2)
        case .unexpectedCertificate, .connectionRefused, .handshakeFailed, .hostNotFound, .proxyMisconfigured,
            .cancelled:
            return .giveUp
        // Redial at once; it does not count.
        case .pooledConnection:
            self.pooledFailures += 1
            return .retry(after: .zero, clearPool: self.pooledFailures + self.failures == 2)
        }
    }
}
