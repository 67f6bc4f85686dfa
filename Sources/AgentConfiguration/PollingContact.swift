/// One polled address and what it is polled as: a set of connections, whatever thumbprints the server has there.
package struct PollingContact: Hashable, Sendable {
    package var address: String
    package var subscription: String

    /// The polling entries of a configuration in their order, those of one server put together; entries that lack
    /// something are left out.
    package static func all(
        in servers: [TrustedServer]
    ) -> [(contact: PollingContact, servers: [TrustedServer])] {
        var result: [(contact: PollingContact, servers: [TrustedServer])] = []
        for server in servers where server.communicationStyle == .polling {
            guard let address = server.address, let subscription = server.effectiveSubscriptionID else {
                continue
            }
            let contact = PollingContact(
                address: (NetworkAddress(address)?.description ?? address).lowercased(),
                subscription: ServerContact.normalized(subscription)
            )
            if let index = result.firstIndex(where: { $0.contact == contact }) {
                result[index].servers.append(server)
            } else {
                result.append((contact, [server]))
            }
        }
        return result
    }
}
