public import SecureTransport
import Synchronization

/// A client of a service, as far as the service's certificate is concerned.
///
/// A client keeps one thumbprint for each way to a service: by dialling it, and by each of its subscriptions.
public struct InformedPeer: Hashable, Sendable {
    /// The client's certificate.
    public var thumbprint: Thumbprint
    /// What the service polls as, `poll://id/`; nil for a client that dials.
    public var subscription: String?

    /// Names a client and its way to the service.
    public init(thumbprint: Thumbprint, subscription: String? = nil) {
        self.thumbprint = thumbprint
        self.subscription = subscription.map { EndPointURI($0)?.text ?? $0 }
    }
}

/// The certificate that a service shows, and the one that follows it while it is being changed.
///
/// Clients know a service by its thumbprint, and never all learn a new one at the same moment. During an overlap each gets
/// the certificate that it knows: who has been told the next one, everybody else the present one, and who turns one away
/// the other. Change it with ``change(to:overlap:)`` at any time; no connection is cut by it. Polling connections move over
/// by themselves: a new one is made first, and the old one says `END` where no call can be lost.
public final class ServiceIdentity: Sendable {
    /// What follows, and who knows.
    public struct Overlap: Hashable, Sendable {
        /// The next certificate.
        public var next: TLSIdentity
        /// The clients that expect it by now.
        public var informed: Set<InformedPeer>
        /// Whether a dialler of whom nothing is known gets it, too.
        public var informsStrangers: Bool

        /// Describes a change of the certificate that is under way.
        public init(next: TLSIdentity, informed: Set<InformedPeer> = [], informsStrangers: Bool = false) {
            self.next = next
            self.informed = informed
            self.informsStrangers = informsStrangers
        }
    }

    /// One certificate with its TLS parameters, made when they are first needed.
    final class Certificate: Sendable {
        let identity: TLSIdentity
        private let contexts = Mutex<(client: TLSContext?, server: TLSContext?)>((nil, nil))

        init(_ identity: TLSIdentity) { self.identity = identity }

        func clientContext() throws(OpenSSLError) -> TLSContext {
            try self.contexts.withLock { contexts throws(OpenSSLError) in
                if let context = contexts.client { return context }
                let context = try TLSContext(client: self.identity)
                contexts.client = context
                return context
            }
        }

        func serverContext() throws(OpenSSLError) -> TLSContext {
            try self.contexts.withLock { contexts throws(OpenSSLError) in
                if let context = contexts.server { return context }
                let context = try TLSContext(server: self.identity)
                contexts.server = context
                return context
            }
        }
    }

    private struct State {
        var present: Certificate
        var next: Certificate?
        var informed: Set<InformedPeer> = []
        var informsStrangers = false
        var diallers = ListenerCertificateChoice()
        /// Counts the changes.
        var generation = 0
        var watchers: [Int: @Sendable () -> Void] = [:]
        var nextWatcher = 0
    }

    /// Held for assignments and look-ups only.
    private let state: Mutex<State>
    private let onTaken: @Sendable (InformedPeer) -> Void

    /// A service with one certificate.
    ///
    /// - Parameters:
    ///   - identity: The present certificate.
    ///   - onTaken: Called when a client took the next certificate of an overlap although nobody had said that it knows it;
    ///     it must return at once.
    public init(_ identity: TLSIdentity, onTaken: @escaping @Sendable (InformedPeer) -> Void = { _ in }) {
        self.state = Mutex(State(present: Certificate(identity)))
        self.onTaken = onTaken
    }

    /// The present certificate.
    public var present: TLSIdentity { self.state.withLock { $0.present.identity } }

    /// The change that is under way.
    public var overlap: Overlap? {
        self.state.withLock { state in
            state.next.map {
                Overlap(next: $0.identity, informed: state.informed, informsStrangers: state.informsStrangers)
            }
        }
    }

    /// Puts certificates in place: begins an overlap, tells more of it, ends it.
    ///
    /// - Parameters:
    ///   - present: The certificate for everybody, or for whom the next one is unknown.
    ///   - overlap: The change that is under way; nil when there is none.
    public func change(to present: TLSIdentity, overlap: Overlap? = nil) {
        let watchers = self.state.withLock { state -> [@Sendable () -> Void] in
            let held = [state.present, state.next].compactMap { $0 }
            let informed = overlap?.informed ?? []
            // An old one stays as it is with its TLS parameters.
            func certificate(_ identity: TLSIdentity) -> Certificate {
                held.first { $0.identity == identity } ?? Certificate(identity)
            }
            let (new, next) = (certificate(present), overlap.map { certificate($0.next) })
            if next == nil || next !== state.next { state.diallers = ListenerCertificateChoice() }
            (state.present, state.next, state.informed) = (new, next, informed)
            let diallers = informed.filter { $0.subscription == nil }.map(\.thumbprint)
            state.informsStrangers = overlap?.informsStrangers ?? false
            state.diallers.inform(Set(diallers), strangers: state.informsStrangers)
            state.generation += 1
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher() }
    }

    // MARK: Diallers of ours

    /// What a polling service has to show at one moment.
    struct Certificates: Sendable {
        var present: Certificate
        var next: Certificate?
        /// Somebody said that the server knows the next one.
        var isKnown: Bool
        var generation: Int

        subscript(_ turn: CertificateTurn) -> Certificate {
            turn == .next ? self.next ?? self.present : self.present
        }
    }

    func certificates(for servers: Set<Thumbprint>, _ subscription: EndPointURI) -> Certificates {
        self.state.withLock { state in
            Certificates(
                present: state.present,
                next: state.next,
                isKnown: servers.contains {
                    state.informed.contains(InformedPeer(thumbprint: $0, subscription: subscription.text))
                },
                generation: state.generation
            )
        }
    }

    /// Reports a client that took the next certificate unless that was known.
    func taken(by peer: InformedPeer) {
        guard self.state.withLock({ $0.next != nil && !$0.informed.contains(peer) }) else { return }
        self.onTaken(peer)
    }

    /// Calls `body` at each change that comes after `generation`, until the watch is over.
    func watch(after generation: Int, _ body: @escaping @Sendable () -> Void) -> Int {
        let (number, isLate) = self.state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = body
            return (state.nextWatcher, state.generation != generation)
        }
        if isLate { body() }
        return number
    }

    func endWatch(_ number: Int) { self.state.withLock { _ = $0.watchers.removeValue(forKey: number) } }

    var generation: Int { self.state.withLock { $0.generation } }

    // MARK: Diallers of theirs

    /// What one dialler was shown, and where it dialled from; only kept during an overlap.
    struct Showing: Sendable {
        var address: String
        var turn: CertificateTurn
        /// Of the change that it was part of.
        var next: Thumbprint
    }

    /// The parameters for a connection that was accepted; `address` is asked for only when it matters.
    func serverContext(_ address: () -> String?) throws(OpenSSLError) -> (TLSContext, Showing?) {
        let (present, next) = self.state.withLock { ($0.present, $0.next) }
        guard let next, let address = address() else { return (try present.serverContext(), nil) }
        let turn = self.state.withLock { $0.diallers.turn(for: address) }
        let showing = Showing(address: address, turn: turn, next: next.identity.thumbprint)
        return (try (turn == .next ? next : present).serverContext(), showing)
    }

    func took(_ showing: Showing, _ server: Thumbprint) {
        self.note(showing) { $0.took(showing.turn, showing.address, server) }
        if showing.turn == .next { self.taken(by: InformedPeer(thumbprint: server)) }
    }

    func refused(_ showing: Showing, _ server: Thumbprint?) {
        self.note(showing) { $0.refused(showing.turn, showing.address, server) }
    }

    /// A connection from before the present change says nothing.
    private func note(_ showing: Showing, _ change: (inout ListenerCertificateChoice) -> Void) {
        self.state.withLock { state in
            guard state.next?.identity.thumbprint == showing.next else { return }
            change(&state.diallers)
        }
    }
}
