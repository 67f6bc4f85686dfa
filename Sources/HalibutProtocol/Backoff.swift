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

    /// A try begins.
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

/// Whether a client may try once more to begin a call (halibut.md 10.2).
package struct ConnectAttempts: Sendable {
    /// What to do after a failure before the request began.
    package enum OnFailure: Hashable, Sendable {
        /// Try again after the pause; `clearPool` says that pooled connections are worthless.
        case retry(after: Duration, clearPool: Bool)
        case giveUp
    }

    private let countLimit: Int
    private let pause: Duration
    private let deadline: ContinuousClock.Instant
    private var failures = 0

    package init(endPoint: EndPointDocument, now: ContinuousClock.Instant) {
        self.countLimit = max(1, Int(endPoint.retryCountLimit))
        self.pause = endPoint.retryListeningSleepInterval
        self.deadline = now + endPoint.connectionErrorRetryTimeout
    }

    /// An attempt failed and may be repeated.
    ///
    /// A pooled connection that died in the pool says nothing about the peer: redial at once, it does not count.
    package mutating func failed(onPooledConnection: Bool, now: ContinuousClock.Instant) -> OnFailure {
        guard now < self.deadline else { return .giveUp }
        if onPooledConnection { return .retry(after: .zero, clearPool: false) }
        self.failures += 1
        guard self.failures < self.countLimit else { return .giveUp }
        return .retry(after: self.pause, clearPool: self.failures == 2)
    }
}
