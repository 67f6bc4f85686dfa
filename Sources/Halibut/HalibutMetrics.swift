import Synchronization

/// An observer that counts.
///
/// One may serve all clients, services and listeners of a program. ``snapshot`` is cheap enough for every scrape.
public final class HalibutMetrics: HalibutObserver {
    /// Everything counted since the start.
    public struct Snapshot: Hashable, Sendable {
        /// Connections that listeners accepted, and those of them that have ended.
        public var connectionsAccepted = 0
        public var connectionsEnded = 0
        /// Connections now open whose peer identified itself as a client, or as a polling service.
        public var clientsConnected = 0
        public var subscribersConnected = 0
        /// Connections turned away by cause, and the last one of each.
        public var denials: [ConnectionDenial.Cause: Int] = [:]
        public var lastDenials: [ConnectionDenial.Cause: ConnectionDenial] = [:]
        /// Handshakes by `version cipher`.
        public var handshakes: [String: Int] = [:]
        /// Attempts to reach listeners, and failures by cause.
        public var dials = 0
        public var dialFailures: [String: Int] = [:]
        /// Polling services by `subscription server`.
        public var polling: [String: Polling] = [:]
        /// Calls under way, as their caller and as their service.
        public var callsMade = 0
        public var callsExecuting = 0
        /// Ended calls by what they were and what they came to.
        public var calls: [CallKey: CallTotal] = [:]

        /// Connections now open.
        public var connectionsOpen: Int { self.connectionsAccepted - self.connectionsEnded }
    }

    /// How a polling service fares at one server.
    public struct Polling: Hashable, Sendable {
        /// When the server last took it on.
        public var lastIdentified: ContinuousClock.Instant?
        /// The pause that it makes, or made last.
        public var lastPause: Duration?
        /// Why.
        public var lastCause: String?
    }

    /// What calls are counted by.
    public struct CallKey: Hashable, Sendable {
        public var call: ObservedCall
        public var outcome: CallOutcome
    }

    /// Calls of one kind.
    public struct CallTotal: Hashable, Sendable {
        public var count = 0
        public var duration = Duration.zero
        public var longest = Duration.zero
    }

    /// Kinds of calls kept apart: a peer chooses the names of what it calls, and must not fill our memory with them.
    static let maximumCallKinds = 1000

    private let state = Mutex(Snapshot())

    /// Creates an observer that has seen nothing.
    public init() {}

    /// All counts at one moment.
    public var snapshot: Snapshot { self.state.withLock { $0 } }

    public func connectionAccepted() { self.state.withLock { $0.connectionsAccepted += 1 } }

    public func connectionIdentified(_ peer: ObservedPeer) { self.state.withLock { $0.count(peer, 1) } }

    public func connectionEnded(_ peer: ObservedPeer?) {
        self.state.withLock { state in
            state.connectionsEnded += 1
            if let peer { state.count(peer, -1) }
        }
    }

    public func connectionDenied(_ denial: ConnectionDenial) {
        self.state.withLock { state in
            state.denials[denial.cause, default: 0] += 1
            state.lastDenials[denial.cause] = denial
        }
    }

    public func handshakeCompleted(_ handshake: ObservedHandshake) {
        self.state.withLock { $0.handshakes["\(handshake.protocolVersion) \(handshake.cipher)", default: 0] += 1 }
    }

    public func dialled(_ dial: ObservedDial) {
        self.state.withLock { state in
            state.dials += 1
            if let failure = dial.failure { state.dialFailures[failure, default: 0] += 1 }
        }
    }

    public func pollingBegan(subscription: String, server: ServiceEndPoint) {
        self.state.withLock { $0.polling["\(subscription) \(server)", default: Polling()].lastIdentified = .now }
    }

    public func pollingPaused(subscription: String, server: ServiceEndPoint, pause: Duration, cause: String) {
        self.state.withLock { state in
            let key = "\(subscription) \(server)"
            state.polling[key, default: Polling()].lastPause = pause
            state.polling[key, default: Polling()].lastCause = cause
        }
    }

    public func callBegan(_ call: ObservedCall) {
        self.state.withLock { $0.countCalls(call, 1) }
    }

    public func callEnded(_ call: ObservedCall, after duration: Duration, outcome: CallOutcome) {
        self.state.withLock { state in
            state.countCalls(call, -1)
            var key = CallKey(call: call, outcome: outcome)
            if state.calls[key] == nil, state.calls.count >= Self.maximumCallKinds {
                (key.call.service, key.call.method) = ("other", "other")
            }
            state.calls[key, default: CallTotal()].add(duration)
        }
    }
}

extension HalibutMetrics.Snapshot {
    fileprivate mutating func count(_ peer: ObservedPeer, _ change: Int) {
        if peer.subscription == nil { self.clientsConnected += change } else { self.subscribersConnected += change }
    }

    fileprivate mutating func countCalls(_ call: ObservedCall, _ change: Int) {
        if call.isClient { self.callsMade += change } else { self.callsExecuting += change }
    }
}

extension HalibutMetrics.CallTotal {
    fileprivate mutating func add(_ duration: Duration) {
        self.count += 1
        self.duration += duration
        self.longest = max(self.longest, duration)
    }
}
