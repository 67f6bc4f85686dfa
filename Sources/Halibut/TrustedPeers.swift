public import SecureTransport
import Synchronization

/// The thumbprints a listener lets in, and the connections they have open (halibut.md 2.7).
public final class TrustedPeers: Sendable {
    private struct State {
        var trusted: Set<Thumbprint>
        var connections: [Thumbprint: [ConnectionID: @Sendable () -> Void]] = [:]
    }

    /// Owner of the set; held for set operations only, never while a connection is aborted.
    private let state: Mutex<State>

    /// Trusts some certificates.
    public init(_ thumbprints: some Sequence<Thumbprint> = []) {
        self.state = Mutex(State(trusted: Set(thumbprints)))
    }

    /// Whether a certificate is trusted now.
    public func contains(_ thumbprint: Thumbprint) -> Bool {
        self.state.withLock { $0.trusted.contains(thumbprint) }
    }

    /// Everything trusted now.
    public var all: Set<Thumbprint> { self.state.withLock { $0.trusted } }

    /// Connections that were let in and have not ended.
    package var openConnectionCount: Int {
        self.state.withLock { $0.connections.values.reduce(0) { $0 + $1.count } }
    }

    /// Trusts one more certificate.
    public func trust(_ thumbprint: Thumbprint) {
        self.state.withLock { _ = $0.trusted.insert(thumbprint) }
    }

    /// Trusts a certificate no longer and resets its open connections.
    public func removeTrust(_ thumbprint: Thumbprint) {
        self.change { $0.remove(thumbprint) }
    }

    /// Trusts these certificates and no others; connections of all others are reset.
    public func trustOnly(_ thumbprints: some Sequence<Thumbprint>) {
        let new = Set(thumbprints)
        self.change { $0 = new }
    }

    /// Changes the set first and aborts afterwards, so that no reconnect slips in between.
    private func change(_ body: (inout Set<Thumbprint>) -> Void) {
        let aborts = self.state.withLock { state in
            body(&state.trusted)
            let untrusted = state.connections.keys.filter { !state.trusted.contains($0) }
            return untrusted.flatMap { thumbprint in
                state.connections.removeValue(forKey: thumbprint).map { Array($0.values) } ?? []
            }
        }
        for abort in aborts { abort() }
    }

    /// Admits a connection if its certificate is trusted: decision and entry are one step.
    func admit(_ thumbprint: Thumbprint, connection: ConnectionID, abort: @escaping @Sendable () -> Void) -> Bool {
        self.state.withLock { state in
            guard state.trusted.contains(thumbprint) else { return false }
            state.connections[thumbprint, default: [:]][connection] = abort
            return true
        }
    }

    /// Forgets a connection that has ended.
    func ended(_ thumbprint: Thumbprint, connection: ConnectionID) {
        self.state.withLock { state in
            state.connections[thumbprint]?.removeValue(forKey: connection)
            if state.connections[thumbprint]?.isEmpty == true { state.connections.removeValue(forKey: thumbprint) }
        }
    }
}

/// What to do with a peer that a listener does not trust (halibut.md 2.3).
public struct UntrustedPeerAction: Hashable, Sendable {
    private let trusts: Bool

    /// Close the connection without a word.
    public static let block = UntrustedPeerAction(trusts: false)
    /// Trust its certificate from now on, and serve it.
    public static let trustAndAllow = UntrustedPeerAction(trusts: true)
}

/// Names one connection of this process.
struct ConnectionID: Hashable, Sendable {
    private static let counter = Atomic<UInt64>(0)
    let number: UInt64

    init() { self.number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue }
}
