/// Which idle connections a client keeps (halibut.md 10.1): the rules of its pool, without sockets and timers.
package struct IdleConnections<Key: Hashable & Sendable, Connection: Identifiable & Sendable>: Sendable
where Connection.ID: Sendable {
    private let maximumPerKey: Int
    /// The one used last is the last.
    private var connections: [Key: [Connection]] = [:]

    package init(maximumPerKey: Int) {
        self.maximumPerKey = maximumPerKey
    }

    /// How many are kept in all.
    package var count: Int { self.connections.values.reduce(0) { $0 + $1.count } }

    /// How many are kept for a key.
    package func count(_ key: Key) -> Int { self.connections[key]?.count ?? 0 }

    /// Keeps a connection; returns the surplus one to close, which is the one idle for longest.
    package mutating func put(_ connection: Connection, _ key: Key) -> Connection? {
        self.connections[key, default: []].append(connection)
        guard self.count(key) > self.maximumPerKey, let oldest = self.connections[key]?.first else { return nil }
        return self.remove(oldest.id, key)
    }

    /// Gives the connection used last: the most likely to live.
    package mutating func take(_ key: Key) -> Connection? {
        guard var idle = self.connections.removeValue(forKey: key) else { return nil }
        let last = idle.popLast()
        if !idle.isEmpty { self.connections[key] = idle }
        return last
    }

    /// A connection's time is up, or it has ended; `nil` when it is not here any longer.
    package mutating func remove(_ id: Connection.ID, _ key: Key) -> Connection? {
        guard let index = self.connections[key]?.firstIndex(where: { $0.id == id }) else { return nil }
        let removed = self.connections[key]?.remove(at: index)
        if self.connections[key]?.isEmpty == true { self.connections[key] = nil }
        return removed
    }

    /// Everything kept for a key.
    package mutating func clear(_ key: Key) -> [Connection] { self.connections.removeValue(forKey: key) ?? [] }

    /// Everything.
    package mutating func clear() -> [Connection] {
        defer { self.connections = [:] }
        return self.connections.values.flatMap { $0 }
    }
}
