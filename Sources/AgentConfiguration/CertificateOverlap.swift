import FoundationEssentials
package import SecureTransport

/// A change of the agent's certificate that is under way: two are valid until every trusted server knows the new one.
///
/// The present certificate stays in the usual keys, so that every program that reads the file works on; the next one is
/// beside it in keys of ours. When the last server knows it, it moves into the usual keys (docs/certificate-rotation.md).
package struct CertificateOverlap: Hashable, Sendable {
    package var next: TLSIdentity
    package var knownBy: Set<ServerContact>
}

/// One way in which a server and this agent get in touch, for which the server keeps a thumbprint of the agent.
package struct ServerContact: Hashable, Sendable {
    /// The server's, 40 upper-case digits.
    package var thumbprint: String
    /// What the agent polls as; nil for a server that dials the agent.
    package var subscription: String?

    package init(thumbprint: String, subscription: String?) {
        self.thumbprint = Thumbprints.trimmed(thumbprint).uppercased()
        self.subscription = subscription.map(Self.normalized)
    }

    /// Lower case and with its slash, as servers compare it.
    package static func normalized(_ subscription: String) -> String {
        let lower = subscription.lowercased()
        return lower.hasSuffix("/") ? lower : lower + "/"
    }

    fileprivate var json: OrderedJSON {
        .object([
            .init("Thumbprint", .string(self.thumbprint)), .init("SubscriptionId", .string(orNull: self.subscription)),
        ])
    }
}

extension TentacleConfiguration {
    /// Thumbprint of the certificate that is to follow; nil when no change is under way.
    package var nextThumbprint: String? {
        self.text(.nextCertificate).flatMap { _ in self.text(.nextCertificateThumbprint) }
    }

    package func overlap() throws -> CertificateOverlap? {
        guard self.nextThumbprint != nil, let next = try self.identity(in: .nextCertificate) else { return nil }
        return CertificateOverlap(next: next, knownBy: try self.contactsThatKnowNext())
    }

    /// What a new registration names: the next certificate while there is one.
    package func identityToRegister() throws -> TLSIdentity? { try self.overlap()?.next ?? self.identity() }

    /// Both thumbprints under which servers may know this agent, the present one first.
    package var thumbprints: [String] { [self.thumbprint, self.nextThumbprint].compactMap { $0 } }

    /// Which contacts have been told, or have been seen to know.
    package func contactsThatKnowNext() throws(ConfigurationError) -> Set<ServerContact> {
        guard let text = self.text(.nextCertificateKnownBy) else { return [] }
        do {
            let entries = try JSONDecoder().decode([StoredContact].self, from: Data(text.utf8))
            return Set(entries.map { ServerContact(thumbprint: $0.Thumbprint, subscription: $0.SubscriptionId) })
        } catch {
            throw ConfigurationError(
                .format,
                "Unable to parse configuration key '\(ConfigurationKey.nextCertificateKnownBy.rawValue)' as a 'list of "
                    + "servers'. Value was '\(text)'."
            )
        }
    }

    private struct StoredContact: Decodable {
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var Thumbprint: String
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var SubscriptionId: String?
    }

    /// How a trusted server and this agent get in touch; nil for an entry of another product.
    package func contact(with server: TrustedServer) -> ServerContact? {
        switch server.communicationStyle {
        case .polling:
            return ServerContact(
                thumbprint: server.thumbprint,
                subscription: server.effectiveSubscriptionID ?? ""
            )
        case .listening, .none: return ServerContact(thumbprint: server.thumbprint, subscription: nil)
        default: return nil
        }
    }

    /// The trusted servers that do not know the next certificate yet.
    package func serversToTell() throws -> [TrustedServer] {
        let known = try self.contactsThatKnowNext()
        return try self.trustedServers().filter { server in
            self.contact(with: server).map { !known.contains($0) } ?? false
        }
    }

    /// Puts a new certificate beside the present one.
    package mutating func beginOverlap(_ next: TLSIdentity) throws {
        try self.setIdentity(next, in: .nextCertificate)
        self.set(.nextCertificateThumbprint, next.thumbprint.description)
        self.remove(.nextCertificateKnownBy)
    }

    /// Notes that a server knows the next certificate, for all ways to it, or for one subscription.
    ///
    /// A polled server that is about to change its own certificate has an entry for each of its two thumbprints: it is the
    /// same server, and knows.
    ///
    /// - Throws: When what the file says of servers cannot be read.
    package mutating func markKnown(by thumbprint: String, subscription: String? = nil) throws {
        let wanted = ServerContact(thumbprint: thumbprint, subscription: subscription)
        let meant = try self.trustedServers().compactMap { self.contact(with: $0) }.filter { contact in
            subscription == nil ? contact.thumbprint == wanted.thumbprint : contact == wanted
        }
        try self.markKnown(meant)
    }

    private mutating func markKnown(_ contacts: [ServerContact]) throws {
        guard self.nextThumbprint != nil else { return }
        let servers = try self.trustedServers()
        let meant = servers.filter { server in self.contact(with: server).map(contacts.contains) ?? false }
        let same = servers.filter { server in
            meant.contains { other in
                server.communicationStyle == .polling && other.communicationStyle == .polling
                    && other.address.map(server.hasAddress) ?? false
                    && self.contact(with: server)?.subscription == self.contact(with: other)?.subscription
            }
        }
        let known = try self.contactsThatKnowNext().union(contacts + same.compactMap { self.contact(with: $0) })
        let sorted = known.sorted { ($0.thumbprint, $0.subscription ?? "") < ($1.thumbprint, $1.subscription ?? "") }
        self.set(.nextCertificateKnownBy, OrderedJSON.array(sorted.map(\.json)).compact)
    }

    /// Notes that a server is being registered with under this thumbprint; called before the server is added to the trusted
    /// ones.
    ///
    /// A server that dials the agent and was trusted before may have other records of it, which still have the old
    /// thumbprint: it does not count as one that knows.
    ///
    /// - Throws: When what the file says of servers cannot be read.
    package mutating func noteRegistration(as thumbprint: String?, with server: TrustedServer) throws {
        guard let next = self.nextThumbprint, thumbprint?.lowercased() == next.lowercased() else { return }
        guard let contact = self.contact(with: server) else { return }
        let isNew = try !self.trustedServers().contains { self.contact(with: $0) == contact }
        if isNew || contact.subscription != nil { try self.markKnown([contact]) }
    }

    /// Puts the next certificate into the present one's place, which is gone then; false when there is none.
    @discardableResult
    package mutating func completeOverlap() -> Bool {
        guard let thumbprint = self.nextThumbprint, let sealed = self.text(.nextCertificate) else { return false }
        self.set(.certificate, sealed)
        self.set(.certificateThumbprint, thumbprint)
        self.abandonOverlap()
        return true
    }

    /// Completes the change when every trusted server knows the next certificate.
    @discardableResult
    package mutating func completeOverlapIfAllKnow() throws -> Bool {
        guard self.nextThumbprint != nil, try self.serversToTell().isEmpty else { return false }
        return self.completeOverlap()
    }

    /// Drops the next certificate; the present one stays.
    package mutating func abandonOverlap() {
        self.remove(.nextCertificate)
        self.remove(.nextCertificateThumbprint)
        self.remove(.nextCertificateKnownBy)
    }
}
