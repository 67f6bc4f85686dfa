package import FoundationEssentials

/// An agent that the server knows: a deployment target or a worker.
package protocol KnownAgent: Codable, Hashable, Sendable {
    var id: String { get }
    var spaceID: String { get }
    var name: String { get set }
    var slug: String { get set }
    var endpoint: AgentEndpoint { get set }
    var isDisabled: Bool { get set }
    var machinePolicyID: String { get set }
    var health: AgentHealth { get set }
    /// What the last health check came to, for people.
    var healthSummary: String { get set }
    var lastChecked: Date? { get set }
    var facts: HostFacts { get set }
    /// What keeps the agent from being stored, as far as it can be seen without the store.
    var problems: [String] { get }
}

package enum AgentHealth: String, Codable, Sendable {
    case unknown = "Unknown"
    case healthy = "Healthy"
    case hasWarnings = "HasWarnings"
    case unhealthy = "Unhealthy"
    case unavailable = "Unavailable"

    /// Of an agent that has just been registered.
    package static let notCheckedSummary = "This machine has not been checked yet."

    /// The legacy status of the same meaning (rest-api.md 19.2).
    package var legacyStatus: String {
        switch self {
        case .unknown: "Unknown"
        case .healthy, .hasWarnings: "Online"
        case .unhealthy, .unavailable: "Offline"
        }
    }
}

/// What the last health check found out about a host; nil where nothing is known.
package struct HostFacts: Codable, Hashable, Sendable {
    package var operatingSystem: String?
    package var shellName: String?
    package var shellVersion: String?
    package var architecture: String?
    package var agentVersion: String?

    package init() {}
}

/// How the server reaches an agent, and whom it expects there.
package struct AgentEndpoint: Codable, Hashable, Sendable {
    package enum Style: String, Codable, Sendable {
        case listening = "TentaclePassive"
        case polling = "TentacleActive"
    }

    package var style: Style
    /// As the client wrote it (rest-api.md 19.2 wants it back verbatim).
    package var uri: String
    /// 40 upper-case hexadecimal digits.
    package var thumbprint: String
    /// The proxy through which a listening agent is dialled.
    package var proxyID: String?

    package init(style: Style, uri: String, thumbprint: String, proxyID: String? = nil) {
        (self.style, self.uri, self.thumbprint, self.proxyID) = (style, uri, thumbprint, proxyID)
    }

    /// The form in which endpoints are compared: lower case, empty path written `/` (halibut.md 1).
    package var normalisedURI: String {
        let lowered = uri.lowercased()
        guard let scheme = lowered.firstRange(of: "://") else { return lowered }
        let rest = lowered[scheme.upperBound...]
        let host = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return "\(lowered[..<scheme.upperBound])\(host)/"
    }
}
