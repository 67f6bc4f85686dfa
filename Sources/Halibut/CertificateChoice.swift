package import SecureTransport

/// Which of a service's two certificates, while it changes from one to the other.
package enum CertificateTurn: Hashable, Sendable {
    case present
    case next

    var other: CertificateTurn { self == .present ? .next : .present }
}

/// What a polling service shows first to one server: pure, owned by its lock.
package struct PollingCertificateChoice: Sendable {
    /// What the server took last, of which change.
    private var taken: (turn: CertificateTurn, next: Thumbprint, generation: Int)?

    package init() {}

    /// What was told counts more than what was seen before it; else what was seen counts.
    package func first(isKnown: Bool, next: Thumbprint, generation: Int) -> CertificateTurn {
        let told: CertificateTurn = isKnown ? .next : .present
        guard let taken, taken.next == next else { return told }
        return taken.generation == generation || taken.turn == .next ? taken.turn : told
    }

    package mutating func took(_ turn: CertificateTurn, next: Thumbprint, generation: Int) {
        self.taken = (turn, next, generation)
    }
}

/// What a listener shows to whom: pure, owned by its lock.
///
/// TLS shows a certificate before it is known who dials, so the choice goes by the address: the server that was seen
/// there last, and what became of the last connection from there. A dialler that turns the certificate away gets the other
/// one the next time.
package struct ListenerCertificateChoice: Sendable {
    /// Addresses remembered; the one that was heard of longest ago goes for a new one.
    package static let maximumAddresses = 256

    private struct Entry {
        var server: Thumbprint?
        /// What the dialler took, or what it is to get because it turned the other one away.
        var seen: CertificateTurn?
        var stamp: UInt64
    }

    private var entries: [String: Entry] = [:]
    private var stamp: UInt64 = 0
    private var informed: Set<Thumbprint> = []
    private var informsStrangers = false

    package init() {}

    package var addressCount: Int { self.entries.count }

    /// Who knows the next certificate, as far as anybody said; what was seen of those who are new in it does not count.
    package mutating func inform(_ servers: Set<Thumbprint>, strangers: Bool) {
        let new = servers.subtracting(self.informed)
        self.informed = servers
        self.informsStrangers = strangers
        for (address, entry) in self.entries where entry.server.map(new.contains) ?? false {
            self.entries[address]?.seen = nil
        }
    }

    package func turn(for address: String) -> CertificateTurn {
        guard let entry = self.entries[address] else { return self.informsStrangers ? .next : .present }
        if let seen = entry.seen { return seen }
        guard let server = entry.server else { return self.informsStrangers ? .next : .present }
        return self.informed.contains(server) ? .next : .present
    }

    /// A trusted server went on after it had seen the certificate.
    package mutating func took(_ turn: CertificateTurn, _ address: String, _ server: Thumbprint) {
        self.note(address) { entry in
            entry.server = server
            entry.seen = turn
        }
    }

    /// A dialler hung up over the certificate; who it was is known only if it hung up late.
    package mutating func refused(_ turn: CertificateTurn, _ address: String, _ server: Thumbprint?) {
        self.note(address) { entry in
            if let server { entry.server = server }
            entry.seen = turn.other
        }
    }

    private mutating func note(_ address: String, _ change: (inout Entry) -> Void) {
        self.stamp += 1
        var entry = self.entries[address] ?? Entry(stamp: self.stamp)
        entry.stamp = self.stamp
        change(&entry)
        self.entries[address] = entry
        guard self.entries.count > Self.maximumAddresses else { return }
        guard let oldest = self.entries.min(by: { $0.value.stamp < $1.value.stamp }) else { return }
        self.entries[oldest.key] = nil
    }
}
