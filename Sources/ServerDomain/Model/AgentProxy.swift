/// An HTTP proxy through which the server dials listening agents.
package struct AgentProxy: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var host: String
    package var port: Int
    package var username: String?
    /// As the proxy wants it; the API never gives it back.
    package var password: String?

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        host: String,
        port: Int = 80,
        username: String? = nil,
        password: String? = nil
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.host, self.port, self.username, self.password) = (host, port, username, password)
    }

    /// What keeps the proxy from being stored.
    package var problems: [String] {
        var validation = Validation()
        let isHost = !host.isEmpty && host.utf8.count <= 255 && host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
        validation.require(
            isHost && !host.contains("/"),
            "A proxy needs a host, a name or an address without 'http://', not '\(host)'."
        )
        validation.require((1...65_535).contains(port), "The port of a proxy must be a number from 1 to 65535.")
        validation.require(password == nil || username != nil, "A proxy with a password needs a user name.")
        return validation.problems
    }
}

/// All agents at one moment, and the proxies on the way to them.
package struct AgentRoster: Sendable {
    /// Higher for each later moment.
    package var revision: Int64
    package var agents: [any KnownAgent]
    package var proxies: [AgentProxy]

    package init(revision: Int64, agents: [any KnownAgent], proxies: [AgentProxy] = []) {
        (self.revision, self.agents, self.proxies) = (revision, agents, proxies)
    }
}
